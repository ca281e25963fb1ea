"""One stream of segments: so many bytes under way at a time, and nothing let go of before it was answered."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import structlog

from bandwatch.errors import UnavailableError
from bandwatch.wire.status import bandwatch_errors
from bandwatch.wire.v1 import observer_service_pb2 as pb
from observer_agent.settings import AgentSettings
from observer_agent.spool.records import LANE_OF, HeldSegment, Origin
from observer_agent.spool.store import Spool
from observer_agent.uplink import messages
from observer_agent.uplink.budget import UploadBudget

if TYPE_CHECKING:
    import grpc.aio

    from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceAsyncStub

_log: Final = structlog.stdlib.get_logger()
T = TypeVar("T")
Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.UploadSegmentsRequest, pb.UploadSegmentsResponse]"


class Credit:
    """Bytes that may be under way: what the coordinator allows, and never more than the agent's own limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0

    def allow(self, credit_bytes: int) -> None:
        """Take note of what the coordinator allows."""
        self._bytes = min(credit_bytes, self._limit_bytes)

    def has_room(self, size: int, under_way: int) -> bool:
        """Tell whether so much more may be sent. One segment alone always may, unless nothing is allowed."""
        return self._bytes > 0 and (under_way == 0 or under_way + size <= self._bytes)


@dataclass(frozen=True)
class Outgoing:
    """What is to be uploaded: the spool, what may be under way, what may be sent today, and two events.

    `more` is set by others when the spool has another segment or the credit has changed; `settled` is set here when a
    segment may have left the spool.
    """

    spool: Spool
    credit: Credit
    budget: UploadBudget
    more: asyncio.Event
    settled: asyncio.Event


@dataclass(frozen=True)
class _Ready:
    """A segment with the message that uploads it."""

    segment: HeldSegment
    request: pb.UploadSegmentsRequest


class SegmentUpload:
    """Writes segments of the spool to one stream and settles each by its answer."""

    def __init__(
        self, stub: "ObserverServiceAsyncStub", outgoing: Outgoing, settings: AgentSettings, observer: str
    ) -> None:
        self._stub = stub
        self._outgoing = outgoing
        self._settings = settings
        self._observer = observer
        self._next: _Ready | None = None
        self._under_way: dict[Origin, int] = {}
        self._settled = 0

    async def run(self) -> int:
        """Wait for a first segment, deliver until there are none for a while, and return how many were settled.

        Raises:
            UnavailableError: The stream broke before anything was settled. What was under way stays in the spool.
        """
        await self._wait_until_ready(None)
        call = self._stub.UploadSegments()
        try:
            with bandwatch_errors():
                while self._under_way or await self._wait_until_ready(self._settings.upload_idle_s):
                    await self._exchange(call)
                await self._in_time(call.done_writing())
                await self._in_time(call.read())
        except UnavailableError as error:
            if not self._settled:
                raise
            _log.info("an upload broke off; the rest is sent again", settled=self._settled, fault=error.message)
        finally:
            call.cancel()
        return self._settled

    async def _exchange(self, call: Call) -> None:
        """Send what there is room for, then take one answer."""
        while (ready := await self._take_ready()) is not None:
            self._under_way[ready.segment.origin] = len(ready.segment.codes)
            await asyncio.to_thread(self._outgoing.budget.spend, len(ready.request.codes))
            await self._write(call, ready.request)
        if self._under_way:
            await self._settle(await self._read(call))

    async def _wait_until_ready(self, longest_s: float | None) -> bool:
        while True:
            self._outgoing.more.clear()
            if await self._is_ready():
                return True
            try:
                async with asyncio.timeout(longest_s):
                    await self._outgoing.more.wait()
            except TimeoutError:
                return False

    async def _is_ready(self) -> bool:
        """Tell whether there is a segment, and room for it. One that must wait for another day makes way."""
        if self._next is None:
            self._next = await asyncio.to_thread(self._find_next)
        if self._next is None:
            self._outgoing.settled.set()  # on the way to nothing, the spool may have dropped what was damaged
            return False
        if self._under_way and not self._settled:
            return False  # a coordinator that stores nothing at present costs one segment of the day's budget, no more
        return self._outgoing.credit.has_room(len(self._next.segment.codes), sum(self._under_way.values()))

    def _find_next(self) -> _Ready | None:
        budget = self._outgoing.budget
        if (last_lane := budget.last_lane) is None:
            return None
        segment = self._outgoing.spool.next_segment(tuple(self._under_way), last_lane)
        if segment is None:
            return None
        request = messages.segment_request(segment, self._observer)
        return _Ready(segment, request) if budget.takes(LANE_OF[segment.record.purpose], len(request.codes)) else None

    async def _take_ready(self) -> _Ready | None:
        if not await self._is_ready():
            return None
        ready, self._next = self._next, None
        return ready

    async def _write(self, call: Call, request: pb.UploadSegmentsRequest) -> None:
        try:
            await self._in_time(call.write(request))
        except asyncio.InvalidStateError:  # the stream has ended; reading says why
            await self._read(call)
            raise UnavailableError("the coordinator ended the upload") from None

    async def _read(self, call: Call) -> pb.UploadSegmentsResponse:
        response = await self._in_time(call.read())
        if not isinstance(response, pb.UploadSegmentsResponse):  # the end of the stream
            raise UnavailableError(f"the coordinator ended the upload with {len(self._under_way)} segments unanswered")
        return response

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._settings.answer_deadline_s):
                return await work
        except TimeoutError:
            raise UnavailableError(f"no answer to an upload for {self._settings.answer_deadline_s:g} s") from None

    async def _settle(self, response: pb.UploadSegmentsResponse) -> None:
        outcome = messages.upload_outcome(response)
        if outcome is None or outcome.origin not in self._under_way:
            raise UnavailableError("the coordinator answered with something that settles no segment under way")
        if outcome.stored:
            await asyncio.to_thread(self._outgoing.spool.acknowledge, [outcome.origin])
        else:
            _log.warning(
                "a segment was refused", sequence=outcome.origin.sequence, code=outcome.code, reason=outcome.reason
            )
            await asyncio.to_thread(self._outgoing.spool.quarantine, outcome.origin, outcome.code, outcome.reason)
        del self._under_way[outcome.origin]
        self._settled += 1
        self._outgoing.settled.set()
