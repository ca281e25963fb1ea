"""Settings of the coordinator: read from the environment, and every fault told at once."""

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import ValidationError

from coordinator.settings import ENVIRONMENT_PREFIX, CoordinatorSettings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX):
            monkeypatch.delenv(name)


def faults_of(**settings: object) -> set[str]:
    """Return the names of the settings that will not do."""
    with pytest.raises(ValidationError) as caught:
        CoordinatorSettings.model_validate(settings)
    return {str(fault["loc"][0]) for fault in caught.value.errors()}


def test_without_an_environment_the_defaults_serve_one_machine() -> None:
    settings = CoordinatorSettings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.lease == timedelta(minutes=1)


def test_the_environment_changes_any_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDWATCH_COORDINATOR_LEASE_S", "2.5")
    monkeypatch.setenv("BANDWATCH_COORDINATOR_LISTEN", "[::1]:7")
    settings = CoordinatorSettings()
    assert (settings.lease, settings.listen) == (timedelta(seconds=2.5), "[::1]:7")


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "0.0.0.0:65535", "localhost:50051", "[::1]:50051", "[::]:1", "radio.example.org:50051"]
)
@pytest.mark.parametrize("name", ["listen", "member_listen"])
def test_any_address_with_a_port_will_do_since_every_connection_is_encrypted(name: str, listen: str) -> None:
    assert getattr(CoordinatorSettings.model_validate({name: listen}), name) == listen


@pytest.mark.parametrize(
    "listen",
    [
        ":50051",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:port",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:²",
        "::1:50051",
        "[127.0.0.1]:50051",
        "[127.0.0.1:50051",
        "unix:/run/bandwatch",
        "two words:1",
        "",
    ],
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    assert faults_of(listen=listen) == faults_of(member_listen=listen, listen=listen) - {"member_listen"} == {"listen"}


def test_the_server_is_known_by_the_names_that_are_set_and_the_hosts_own() -> None:
    settings = CoordinatorSettings.model_validate({"server_names": "radio.example.org, 192.0.2.7,"})
    assert settings.all_server_names() == ["radio.example.org", "192.0.2.7", socket.gethostname()]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_the_database_is_reached_by_the_one_driver_whatever_the_url_names(scheme: str) -> None:
    written = f"{scheme}://me:p%40ss@db.example:5433/bandwatch?host=/run/postgresql"
    url = CoordinatorSettings.model_validate({"database_url": written}).sqlalchemy_url()
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("me", "p@ss", "db.example", 5433)
    assert (url.database, url.query) == ("bandwatch", {"host": "/run/postgresql"})


@pytest.mark.parametrize(
    "url", ["", "bandwatch", "mysql://db/bandwatch", "sqlite://", "postgresql://db:port/bandwatch"]
)
def test_a_url_of_anything_but_postgresql_is_refused(url: str) -> None:
    assert faults_of(database_url=url) == {"database_url"}


@pytest.mark.parametrize(
    "name", ["clock_lead_s", "poll_s", "lease_s", "republish_s", "teacher_data_s", "student_data_s"]
)
@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e300", "soon"])
def test_a_time_that_no_calendar_can_add_is_refused(name: str, seconds: str) -> None:
    assert faults_of(**{name: seconds}) == {name}


def test_all_faults_are_reported_together() -> None:
    wrong: dict[str, object] = {
        "listen": "nowhere",
        "database_url": "mysql://db",
        "database_connections": 0,
        "attempts": "many",
        "clipped_share_limit": 1.5,
        "lease_s": 0,
    }
    assert faults_of(**wrong) == set(wrong)


def test_the_command_names_every_fault_on_a_line_of_its_own_and_no_password() -> None:
    environment = {
        **os.environ,
        "BANDWATCH_COORDINATOR_LISTEN": "nowhere",
        "BANDWATCH_COORDINATOR_DATABASE_URL": "mysql://me:secret@db/bandwatch",
        "BANDWATCH_COORDINATOR_ATTEMPTS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "migrate"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in told] == [
        "setting listen",
        "setting database_url",
        "setting attempts",
    ]
    assert "secret" not in done.stderr


def test_settings_cannot_change_while_the_coordinator_runs() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CoordinatorSettings().attempts = 7  # type: ignore[misc] # what must not be possible


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in CoordinatorSettings.model_fields.items() if not field.description] == []
