"""What a coordinator counts and measures, for Prometheus, over plain HTTP at an address of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from bandwatch.errors import FailedPreconditionError

_CALL_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts of this process, and figures of the whole fleet as the database has them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.call_seconds = Histogram(
            "bandwatch_call_seconds",
            "Seconds that calls took that are no streams, by method and status.",
            ["method", "status"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )
        self.open_streams = Gauge(
            "bandwatch_open_streams", "Streams that are open at this process.", ["method"], registry=self.registry
        )
        self.segments = Counter(
            "bandwatch_segments",
            "Segments that came to this process, by what became of them: stored, already_stored, or why not.",
            ["outcome"],
            registry=self.registry,
        )
        self.segment_bytes = Counter(
            "bandwatch_segment_bytes", "Bytes of codes that came to this process, as sent.", registry=self.registry
        )
        self.observers = Gauge(
            "bandwatch_observers",
            "Observers of the fleet: heard of within three minutes, silent, or revoked.",
            ["state"],
            registry=self.registry,
        )
        self.runs = Gauge(
            "bandwatch_open_runs", "Training runs that are queued or running.", ["state"], registry=self.registry
        )
        self.releases = Gauge(
            "bandwatch_releases", "Releases that are on their way or active.", ["state"], registry=self.registry
        )
        self.incidents = Gauge(
            "bandwatch_open_incidents", "Incidents that go on, apart from self-tests.", registry=self.registry
        )
        self.messages = Gauge(
            "bandwatch_webhook_messages",
            "Messages to webhooks that wait or are dead.",
            ["state"],
            registry=self.registry,
        )

    @contextmanager
    def serving(self, address: str | None) -> Iterator[int | None]:
        """Answer Prometheus at an address until the block ends, and give the port; nowhere without one.

        Raises:
            FailedPreconditionError: The address is taken, or none of this host.
        """
        if address is None:
            yield None
            return
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host, registry=self.registry)
        except OSError as error:
            raise FailedPreconditionError(
                f"metrics cannot be served at {address} ({error.strerror}); set another address"
            ) from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
