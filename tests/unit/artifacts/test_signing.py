"""Envelopes: what a trusted key signed opens, and nothing else does."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.artifacts.signing import BadSignatureError, SigningKey, TrustedKeys
from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError, NotFoundError

KEY = SigningKey.generate()
STRANGER = SigningKey.generate()
TRUSTED = TrustedKeys.parse(KEY.public_pem())


@given(st.binary(max_size=300))
def test_what_a_trusted_key_sealed_opens_as_it_was(payload: bytes) -> None:
    assert TRUSTED.open(KEY.seal(payload)) == payload


def test_the_signature_is_ed25519_over_the_purpose_and_the_payload() -> None:
    parts = json.loads(KEY.seal(b"payload"))
    public = load_pem_public_key(KEY.public_pem())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(base64.b64decode(parts["signature"]), b"bandwatch release manifest\0payload")


@pytest.mark.parametrize("payload", [b"", b"1", b"22", b"333", b"a manifest"])
def test_an_envelope_with_any_bit_flipped_anywhere_is_refused(payload: bytes) -> None:
    envelope = KEY.seal(payload)
    for position in range(len(envelope)):
        for bit in range(8):
            damaged = bytearray(envelope)
            damaged[position] ^= 1 << bit
            with pytest.raises(CorruptError):
                TRUSTED.open(bytes(damaged))


@given(st.data())
def test_a_truncated_or_lengthened_envelope_is_refused(data: st.DataObject) -> None:
    envelope = KEY.seal(b"payload")
    cut = envelope[: data.draw(st.integers(0, len(envelope) - 1))]
    for damaged in (cut, envelope + data.draw(st.binary(min_size=1, max_size=3)), b" " + envelope):
        with pytest.raises(CorruptError):
            TRUSTED.open(damaged)


def test_an_envelope_of_a_key_that_is_not_trusted_is_a_bad_signature() -> None:
    with pytest.raises(BadSignatureError, match="not trusted here") as caught:
        TRUSTED.open(STRANGER.seal(b"payload"))
    assert caught.value.code == "bad_signature"


def test_a_stranger_who_names_a_trusted_key_is_found_out() -> None:
    forged = json.loads(STRANGER.seal(b"payload")) | {"key": json.loads(KEY.seal(b""))["key"]}
    with pytest.raises(BadSignatureError, match="not one that key") as caught:
        TRUSTED.open(_canonical(forged))
    assert caught.value.code == "bad_signature"


def test_a_signature_over_another_payload_or_for_another_purpose_is_found_out() -> None:
    parts = json.loads(KEY.seal(b"payload"))
    other_payload = parts | {"payload": base64.b64encode(b"other").decode()}
    private = load_pem_private_key(KEY.private_pem(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    other_purpose = parts | {"signature": base64.b64encode(private.sign(b"payload")).decode()}
    for forged in (other_payload, other_purpose):
        with pytest.raises(BadSignatureError):
            TRUSTED.open(_canonical(forged))


def _canonical(parts: dict[str, Any]) -> bytes:
    return json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()


VARIED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "spaces": lambda parts: json.dumps(parts, sort_keys=True).encode(),
    "keys in another order": lambda parts: json.dumps(dict(reversed(parts.items())), separators=(",", ":")).encode(),
    "a field more": lambda parts: _canonical(parts | {"note": "trust me"}),
    "escapes": lambda parts: _canonical(parts).replace(b"payload", b"p\\u0061yload"),
    "bits that base64 does not use": lambda parts: _canonical(parts).replace(b"MQ==", b"MR=="),
    "another encoding": lambda parts: _canonical(parts).decode().encode("utf-16"),
}


@pytest.mark.parametrize("variation", VARIED)
def test_an_envelope_has_one_form_so_that_nobody_can_write_it_differently(variation: str) -> None:
    parts = json.loads(KEY.seal(b"1"))
    assert TRUSTED.open(_canonical(parts)) == b"1"
    varied = VARIED[variation](parts)
    assert varied != _canonical(parts)
    with pytest.raises(CorruptError):
        TRUSTED.open(varied)


_json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20)
_base64 = st.binary(max_size=70).map(lambda content: base64.b64encode(content).decode())
_parts = st.fixed_dictionaries(
    {},
    optional={name: _json_values | _base64 | st.lists(_json_values) for name in ("payload", "key", "signature")},
)


@given(st.binary(max_size=200) | (_parts | _json_values | st.lists(_json_values)).map(lambda v: json.dumps(v).encode()))
def test_garbage_is_corrupt_and_never_anything_else(garbage: bytes) -> None:
    with pytest.raises(CorruptError) as caught:
        TRUSTED.open(garbage)
    assert caught.value.message.encode()


@pytest.mark.parametrize("garbage", [b"[" * 100_000, b'{"payload":' + b"9" * 10_000 + b"}", b"\xff\xfe"])
def test_hostile_json_is_corrupt_and_never_anything_else(garbage: bytes) -> None:
    with pytest.raises(CorruptError, match="no signed manifest"):
        TRUSTED.open(garbage)


FILES_OF_TWO: dict[str, Callable[[bytes, bytes], bytes]] = {
    "one after another": lambda first, second: first + second,
    "with an empty line between": lambda first, second: first + b"\n" + second,
    "with the line ends of Windows": lambda first, second: (first + second).replace(b"\n", b"\r\n"),
    "without a last line end": lambda first, second: first + second.rstrip(),
    "with a remark above each": lambda first, second: b"# old\n" + first + b"# new\n" + second,
}


@pytest.mark.parametrize("form", FILES_OF_TWO)
def test_a_file_of_several_trusted_keys_trusts_each_of_them(form: str) -> None:
    trusted = TrustedKeys.parse(FILES_OF_TWO[form](KEY.public_pem(), STRANGER.public_pem()))
    assert [trusted.open(key.seal(b"payload")) for key in (KEY, STRANGER)] == [b"payload"] * 2


def test_a_key_that_was_written_and_read_again_seals_alike(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_bytes(KEY.private_pem())
    (tmp_path / "trusted-keys.pem").write_bytes(KEY.public_pem())
    sealed = SigningKey.load(tmp_path / "signing.key").seal(b"payload")
    assert sealed == KEY.seal(b"payload")
    assert TrustedKeys.load(tmp_path / "trusted-keys.pem").open(sealed) == b"payload"


def _elliptic_private() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _elliptic_public() -> bytes:
    return generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _encrypted() -> bytes:
    private = load_pem_private_key(KEY.private_pem(), password=None)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (_elliptic_private, "an Ed25519 key is needed"),
        (_encrypted, "no unencrypted private key"),
        (KEY.public_pem, "no unencrypted private key"),
        (bytes, "no unencrypted private key"),
    ],
)
def test_a_file_without_a_plain_ed25519_private_key_is_refused_with_a_sentence(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    (tmp_path / "signing.key").write_bytes(content())
    with pytest.raises(InvalidArgumentError, match=sentence):
        SigningKey.load(tmp_path / "signing.key")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (_elliptic_public, "must be Ed25519 public keys"),
        (KEY.private_pem, "must be public keys"),
        (lambda: KEY.public_pem() + b"and more", "must be public keys"),
        (lambda: KEY.public_pem()[:-40], "must be public keys"),
        (bytes, "no trusted key was given"),
    ],
)
def test_a_file_that_does_not_hold_trusted_keys_alone_is_refused_with_a_sentence(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    (tmp_path / "trusted-keys.pem").write_bytes(content())
    with pytest.raises(InvalidArgumentError, match=sentence):
        TrustedKeys.load(tmp_path / "trusted-keys.pem")


@pytest.mark.parametrize(
    ("load", "advice"), [(SigningKey.load, "make-keys"), (TrustedKeys.load, "copy trusted-keys.pem")]
)
def test_a_key_file_that_is_missing_or_unreadable_is_named_with_advice(
    tmp_path: Path, load: Callable[[Path], object], advice: str
) -> None:
    with pytest.raises(NotFoundError, match=f"there is no {tmp_path / 'none'}: .*{advice}"):
        load(tmp_path / "none")
    with pytest.raises(FailedPreconditionError, match=f"{tmp_path} cannot be read .*{advice}"):
        load(tmp_path)
