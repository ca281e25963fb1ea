"""Calls that come at the same time ask the database together, which costs it and us a fraction of asking one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

from bandwatch.errors import UnavailableError
from bandwatch.wire.channel import CALL_DEADLINE_S

MOST_AT_ONCE: Final = 200
PAUSE_S: Final = 0.01
"""How long questions collect where several came during a batch: a batch costs nearly as much for few as for many."""

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")


class Gathering(Generic[AskedT, AnswerT]):
    """Answers questions in batches: those that come while one batch is under way make up the next.

    A question that comes alone is asked at once; where several come during a batch, the next one begins a little later.
    `work` answers all of a batch, in its order, and begins after the last question of it was asked, so that no answer
    is older than its question. It runs in nobody's name.
    """

    def __init__(self, work: Callable[[Sequence[AskedT]], Awaitable[Sequence[AnswerT]]]) -> None:
        self._work = work
        self._waiting: list[tuple[AskedT, asyncio.Future[AnswerT]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def ask(self, question: AskedT) -> AnswerT:
        """Return the answer to a question.

        Raises:
            UnavailableError: The database did not answer in time; besides what `work` raised for this question.
        """
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer_waiting(), context=Context())
        return await answer

    async def _answer_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._answer([(question, answer) for question, answer in batch if not answer.done()])
                if len(self._waiting) > 1:
                    await asyncio.sleep(PAUSE_S)
        finally:
            self._answering = None

    async def _answer(self, batch: Sequence[tuple[AskedT, asyncio.Future[AnswerT]]]) -> None:
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                answers = await self._work([question for question, _ in batch])
        except TimeoutError:
            _fail(batch, UnavailableError("the database does not answer at present; try again soon"))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who asked are told
            if len(batch) == 1 or isinstance(error, UnavailableError):
                _fail(batch, error)
                return
            for one in batch:  # what is wrong with one question is no fault of the others
                await self._answer([one])
        else:
            for (_, future), found in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(found)


def _fail(batch: "Sequence[tuple[AskedT, asyncio.Future[AnswerT]]]", error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
