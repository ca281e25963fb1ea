"""The secrets of a deployment by Compose."""

from pathlib import Path

import yaml

from infra.docker.make_secrets import make_secrets
from infra.docker.wheels import PROJECT


def test_every_secret_that_compose_wants_is_made_once_and_then_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    wanted = yaml.safe_load((PROJECT / "infra/compose.yaml").read_text())["secrets"]
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(wanted) <= set(made)
    assert make_secrets(folder) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made


def test_nobody_else_enters_the_folder_of_secrets_and_containers_read_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_coordinators_know_the_password_that_the_database_is_made_with(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    password = (tmp_path / "postgres.password").read_text().strip()
    assert f"password={password}\n" in (tmp_path / "pg_service.conf").read_text()
