"""Observers: registered, changed, read."""

from collections.abc import Iterator
from datetime import timedelta

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2 import Observer
from bandwatch.wire.v1.spectrum_pb2 import Mobility
from operator_console.clients.calls import Caller, call, pages


class ObserversClient(Caller):
    """Registers observers and changes what they are to be."""

    def create_observer(
        self,
        observer_id: str,
        *,
        cell: str,
        mobility: Mobility.ValueType,
        title: str = "",
        training_target: timedelta | None = None,
        trusted: bool = False,
        upload_budget_bytes: int = 0,
    ) -> tuple[Observer, str]:
        """Register an observer, on probation unless it is trusted; returns it and a join token for its agent."""
        observer = Observer(title=title, cell=cell, mobility=mobility, upload_budget_bytes=upload_budget_bytes)
        observer.trust = spectrum_pb2.TRUST_TRUSTED if trusted else spectrum_pb2.TRUST_PROBATION
        if training_target is not None:
            observer.training_target.CopyFrom(to_duration_message(training_target))
        request = admin.CreateObserverRequest(observer_id=observer_id, observer=observer)
        answer = call(self._stub.CreateObserver, request)
        return answer.observer, answer.join_token

    def get_observer(self, name: str) -> Observer:
        """Read an observer with its desired and reported state."""
        return call(self._stub.GetObserver, admin.GetObserverRequest(name=name)).observer

    def list_observers(self, *, cell: str = "") -> Iterator[Observer]:
        """Yield observers by name, of one cell or of all."""
        return pages(self._stub.ListObservers, admin.ListObserversRequest(cell=cell), lambda page: page.observers)

    def update_observer(
        self,
        name: str,
        *,
        cell: str | None = None,
        mobility: Mobility.ValueType | None = None,
        title: str | None = None,
        training_target: timedelta | None = None,
        upload_budget_bytes: int | None = None,
    ) -> Observer:
        """Change what is not None.

        Raises:
            ConflictError: Somebody else changed the observer at the same moment.
        """
        observer = self.get_observer(name)
        changes = {
            "cell": cell,
            "mobility": mobility,
            "title": title,
            "upload_budget_bytes": upload_budget_bytes,
        }
        for field, value in changes.items():
            if value is not None:
                setattr(observer, field, value)
        if training_target is not None:
            observer.training_target.CopyFrom(to_duration_message(training_target))
        return call(self._stub.UpdateObserver, admin.UpdateObserverRequest(observer=observer)).observer
