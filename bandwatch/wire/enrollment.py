"""How a newcomer becomes a member, and how a member stays one: alike for observers and workers."""

from pathlib import Path

from bandwatch.errors import CorruptError, InvalidArgumentError
from bandwatch.identity.identity_files import Identity, save_identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.identity.requests import key_to_pem, make_key, make_request
from bandwatch.wire.channel import CALL_DEADLINE_S, newcomer_credentials, open_blocking_channel
from bandwatch.wire.status import bandwatch_errors
from bandwatch.wire.v1 import enrollment_service_pb2 as pb
from bandwatch.wire.v1.enrollment_service_pb2_grpc import EnrollmentServiceStub


def enroll(coordinator: str, token: JoinToken, name: str, folder: Path) -> Identity:
    """Make a key, have the coordinator sign it, and keep both in a folder with whom to trust.

    Raises:
        InvalidArgumentError: The token is for another name, or the name is none.
        UnauthenticatedError: The token is unknown, used or expired.
        UnavailableError: The coordinator cannot be reached, or is not the one that made the token.
    """
    if token.member and name and token.member != name:
        raise InvalidArgumentError(f"this join token is for {token.member}, not for {name}")
    name = name or token.member
    if not name:
        raise InvalidArgumentError("this join token is for no one in particular: say who joins with --name")
    key = make_key()
    request = pb.EnrollRequest(name=name, join_secret=token.secret, certificate_request=make_request(key, name))
    with open_blocking_channel(coordinator, newcomer_credentials(token.authorities)) as channel, bandwatch_errors():
        answer = EnrollmentServiceStub(channel).Enroll(request, timeout=CALL_DEADLINE_S)
    made = Identity(
        name=name,
        address=f"{coordinator.rpartition(':')[0]}:{answer.member_port}",
        key=key_to_pem(key),
        certificate=answer.certificate,
        authorities=answer.authorities,
        release_root=answer.release_root,
    )
    _require_good(made, answer.certificate, answer.authorities)
    save_identity(folder, made)
    return made


def renewal_request(identity: Identity) -> pb.RenewCertificateRequest:
    """Return the request for another certificate of the same key."""
    return pb.RenewCertificateRequest(certificate_request=identity.request())


def renewed_identity(identity: Identity, answer: pb.RenewCertificateResponse) -> Identity:
    """Return a member with the certificate that it was answered.

    Raises:
        CorruptError: The answer does not fit the member's key.
    """
    return _require_good(identity, answer.certificate, answer.authorities)


def _require_good(identity: Identity, certificate: bytes, authorities: bytes) -> Identity:
    try:
        return identity.renewed(certificate, authorities)
    except InvalidArgumentError as error:
        raise CorruptError(f"the coordinator answered with what cannot be used: {error.message}") from error
