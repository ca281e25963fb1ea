"""Ed25519 signatures over manifests: the only module that knows which cryptography stands behind a release."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError, NotFoundError

_PURPOSE: Final = b"bandwatch release manifest\0"
"""Signed in front of the payload, so that a signature made for anything else is worth nothing here."""
_PEM_END: Final = b"-----END PUBLIC KEY-----"
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")


class BadSignatureError(CorruptError):
    """No key that is trusted here made this signature over these bytes."""

    code = "bad_signature"


def _key_id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _envelope(payload: bytes, key_id: str, signature: bytes) -> bytes:
    """Return the one form that an envelope of these parts has."""
    parts = {
        "payload": base64.b64encode(payload).decode(),
        "key": key_id,
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()


def _read(path: Path, advice: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: {advice}") from error
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read ({error.strerror}): {advice}") from error


class SigningKey:
    """A private key that seals manifests."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> Self:
        """Return a new random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key from a PEM file.

        Raises:
            NotFoundError: There is no such file.
            FailedPreconditionError: It cannot be read.
            InvalidArgumentError: It holds no unencrypted Ed25519 private key.
        """
        content = _read(path, "make a signing key with `bandwatch-coordinator make-keys`")
        try:
            private = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidArgumentError(f"{path} holds no unencrypted private key in PEM form") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidArgumentError(f"{path} holds a key of another kind; an Ed25519 key is needed")
        return cls(private)

    def private_pem(self) -> bytes:
        """Return the key itself, unencrypted: for a file that only its owner can read."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        """Return the public half; files of trusted keys are such texts one after another."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def seal(self, payload: bytes) -> bytes:
        """Return an envelope: JSON of the payload, the key's identifier and the signature."""
        return _envelope(payload, _key_id(self._private.public_key()), self._private.sign(_PURPOSE + payload))


class TrustedKeys:
    """The public keys that an observer was given and believes."""

    def __init__(self, keys: list[Ed25519PublicKey]) -> None:
        self._keys = {_key_id(key): key for key in keys}

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Read one or more public keys in PEM form, one after another.

        Raises:
            InvalidArgumentError: There is none, or one is of another kind.
        """
        keys: list[Ed25519PublicKey] = []
        for part in pem.split(_PEM_END):
            if not part.strip():
                continue
            try:
                key = load_pem_public_key(part + _PEM_END + b"\n")
            except (ValueError, UnsupportedAlgorithm) as error:
                raise InvalidArgumentError("trusted keys must be public keys in PEM form") from error
            if not isinstance(key, Ed25519PublicKey):
                raise InvalidArgumentError("trusted keys must be Ed25519 public keys")
            keys.append(key)
        if not keys:
            raise InvalidArgumentError("no trusted key was given, so no model could ever be accepted")
        return cls(keys)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read trusted keys from a file.

        Raises:
            NotFoundError: There is no such file.
            FailedPreconditionError: It cannot be read.
            InvalidArgumentError: See `parse`.
        """
        return cls.parse(_read(path, "copy trusted-keys.pem from the coordinator"))

    def open(self, envelope: bytes) -> bytes:
        """Return the payload of an envelope whose signature holds.

        Raises:
            CorruptError: The bytes are no envelope in the form that `seal` gives it.
            BadSignatureError: The key is not trusted, or the signature is not its own over these bytes.
        """
        try:
            parts = json.loads(envelope)
            payload = base64.b64decode(parts["payload"], validate=True)
            signature = base64.b64decode(parts["signature"], validate=True)
            key_id = str(parts["key"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptError("these bytes are no signed manifest") from error
        # Base64 and JSON write one content in many ways: only one of them is an envelope, so nobody can vary it.
        if not _KEY_ID.fullmatch(key_id) or envelope != _envelope(payload, key_id, signature):
            raise CorruptError("these bytes are no signed manifest")
        key = self._keys.get(key_id)
        if key is None:
            raise BadSignatureError(f"the manifest is signed by key {key_id}, which is not trusted here")
        try:
            key.verify(signature, _PURPOSE + payload)
        except InvalidSignature as error:
            raise BadSignatureError(f"the signature is not one that key {key_id} made over this manifest") from error
        return payload
