"""Which port the coordinator gets."""

import socket

import pytest

from bandwatch.errors import FailedPreconditionError
from infra.local.ports import claim_port, free_port


def test_a_taken_port_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            FailedPreconditionError,
            match=f"port {port} is in use by another program; choose another with --port or stop it",
        ):
            claim_port(port)


def test_a_port_that_is_taken_on_every_address_is_refused() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as other,  # noqa: S104 - as a careless program does
        pytest.raises(FailedPreconditionError, match="in use"),
    ):
        claim_port(other.getsockname()[1])


def test_a_free_port_is_taken_as_it_is_and_zero_means_any() -> None:
    port = free_port()
    assert claim_port(port) == port
    assert claim_port(0) > 0
