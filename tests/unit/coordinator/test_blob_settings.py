"""Where the coordinator keeps blobs: a folder, or a bucket that the settings name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.s3_blobs import S3Blobs
from coordinator.parts import open_blobs
from coordinator.settings import CoordinatorSettings

SECRET = "a-secret-that-no-log-shows"  # noqa: S105 - it belongs to nothing


def settings(**changes: object) -> CoordinatorSettings:
    return CoordinatorSettings.model_validate(changes)


def test_blobs_lie_in_the_folder_unless_a_bucket_is_named(tmp_path: Path) -> None:
    store = open_blobs(settings(blob_dir=tmp_path), "segments")
    assert isinstance(store, BlobStore)
    assert store.path("0" * 64).is_relative_to(tmp_path / "segments")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bandwatch", "s3://bandwatch/models"),
        ("s3://band.watch-2/north/b5", "s3://band.watch-2/north/b5/models"),
    ],
)
def test_a_bucket_holds_each_kind_under_its_prefix(url: str, place: str) -> None:
    store = open_blobs(settings(blob_url=url, s3_access_key_id="key", s3_secret_access_key=SECRET), "models")
    assert isinstance(store, S3Blobs)
    assert store._name == place


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://B", "http://bucket/x", "s3://bucket/../other", "s3://bucket//x", "s3://bucket/x/", "/srv/blobs"],
)
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="blob_url"):
        settings(blob_url=url)


@pytest.mark.parametrize("endpoint", ["storage.example", "ftp://storage", "http://key:secret@storage", "http://a/ b"])
def test_an_endpoint_is_a_url_without_credentials(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="s3_endpoint"):
        settings(s3_endpoint=endpoint)


def test_the_secret_is_in_no_text_of_the_settings() -> None:
    given = settings(s3_secret_access_key=SECRET)
    assert SECRET not in f"{given!r} {given} {given.model_dump_json()}"
