"""What an authority signs, and for whom."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.identity.authority import Authority
from bandwatch.identity.certificates import made_at, renewal_at, time_left
from bandwatch.identity.requests import key_from_pem, key_to_pem, make_key, make_request, open_request

AUTHORITY, OTHER = Authority.make(), Authority.make()
DAY = timedelta(days=1)


def test_a_members_certificate_carries_its_name_and_serves_clients_only() -> None:
    certificate = AUTHORITY.issue_member(make_key().public_key(), "observers/roof", 30 * DAY)
    certificate.verify_directly_issued_by(AUTHORITY.certificate)
    with pytest.raises(InvalidSignature):
        certificate.verify_directly_issued_by(OTHER.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["bandwatch:observers/roof"]
    assert certificate.subject.rfc4514_string() == "CN=observers/roof"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_servers_certificate_is_for_names_and_addresses() -> None:
    made = AUTHORITY.issue_server(make_key().public_key(), ["radio.example.org", "192.0.2.7", "::1"], DAY)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["radio.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "::1"]


def test_no_certificate_outlives_its_authority() -> None:
    made = AUTHORITY.issue_member(make_key().public_key(), "workers/w1", 100_000 * DAY)
    assert made.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


def test_an_authority_survives_its_text_and_another_ones_certificate_does_not_pass_for_its_own() -> None:
    back = Authority.from_pem(AUTHORITY.to_pem())
    assert (back.digest, key_to_pem(back.key)) == (AUTHORITY.digest, key_to_pem(AUTHORITY.key))
    mixed = key_to_pem(AUTHORITY.key) + OTHER.certificate.public_bytes(Encoding.PEM)
    for text in (b"", mixed, key_to_pem(AUTHORITY.key)):
        with pytest.raises(InvalidArgumentError):
            Authority.from_pem(text)


@given(st.integers(3, 1000))
def test_a_certificate_is_renewed_when_a_third_of_its_time_is_left(days: int) -> None:
    certificate = AUTHORITY.issue_member(make_key().public_key(), "observers/roof", days * DAY)
    lifetime = certificate.not_valid_after_utc - made_at(certificate)
    assert lifetime == days * DAY
    assert abs(certificate.not_valid_after_utc - renewal_at(certificate) - lifetime / 3) < timedelta(seconds=1)
    assert timedelta(0) < days * DAY - time_left(certificate) < timedelta(minutes=1)
    assert abs(made_at(certificate) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_request_gives_the_key_of_who_signed_it() -> None:
    key = make_key()
    assert open_request(make_request(key, "observers/roof")) == key.public_key()
    assert key_to_pem(key_from_pem(key_to_pem(key))) == key_to_pem(key)


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_a_request_that_is_cut_off_or_none_is_refused_with_a_sentence(noise: bytes, place: int) -> None:
    for content in (noise, REQUEST[: place % len(REQUEST)]):
        with pytest.raises(InvalidArgumentError, match="certificate_request"):
            open_request(content)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_damage_to_a_request_puts_another_key_into_it(place: int, bit: int) -> None:
    damaged = bytearray(REQUEST)
    damaged[place % len(REQUEST)] ^= 1 << bit
    with suppress(InvalidArgumentError):  # a few bits beside the signed part may be any
        assert open_request(bytes(damaged)) == open_request(REQUEST)


REQUEST = make_request(make_key(), "observers/roof")


def test_keys_of_other_kinds_are_refused() -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        algorithm = SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, algorithm).public_bytes(Encoding.DER)
        with pytest.raises(InvalidArgumentError, match="P-256"):
            open_request(request)
