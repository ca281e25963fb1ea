"""Questions that come together are answered together, and none suffers from another."""

import asyncio
from collections.abc import Sequence

import pytest

from bandwatch.errors import InvalidArgumentError, UnavailableError
from coordinator.rpc import gathering
from coordinator.rpc.gathering import Gathering


class Oracle:
    """Answers a number with its double once it may; remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.is_away = False
        self._begun = asyncio.Event()

    async def __call__(self, questions: Sequence[int]) -> list[int]:
        """Answer a batch."""
        self.batches.append(list(questions))
        self._begun.set()
        await self.may_answer.wait()
        if self.is_away:
            raise UnavailableError("away")
        if min(questions) < 0:
            raise InvalidArgumentError("ask for positive numbers")
        return [2 * question for question in questions]

    async def has_begun(self) -> None:
        """Wait until it was asked something."""
        async with asyncio.timeout(10):
            await self._begun.wait()


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def test_what_comes_while_one_batch_is_under_way_makes_up_the_next(oracle: Oracle) -> None:
    together = Gathering(oracle)
    first = asyncio.ensure_future(together.ask(1))
    await oracle.has_begun()
    later = [asyncio.ensure_future(together.ask(number)) for number in (2, 3, 4)]
    oracle.may_answer.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6, 8]
    assert oracle.batches == [[1], [2, 3, 4]]


async def test_a_wrong_question_is_refused_alone(oracle: Oracle) -> None:
    oracle.may_answer.set()
    together = Gathering(oracle)
    answers = await asyncio.gather(*(together.ask(number) for number in (1, -2, 3)), return_exceptions=True)
    assert answers[::2] == [2, 6]
    assert isinstance(answers[1], InvalidArgumentError)


async def test_nobody_is_answered_while_the_database_is_away_and_all_are_afterwards(oracle: Oracle) -> None:
    oracle.may_answer.set()
    oracle.is_away = True
    together = Gathering(oracle)
    answers = await asyncio.gather(*(together.ask(number) for number in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError, UnavailableError]
    assert len(oracle.batches) == 1
    oracle.is_away = False
    assert await together.ask(3) == 6


async def test_a_batch_that_never_ends_is_given_up(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "CALL_DEADLINE_S", 0.05)
    together = Gathering(oracle)
    with pytest.raises(UnavailableError):
        await together.ask(1)
    oracle.may_answer.set()
    assert await together.ask(2) == 4


async def test_one_who_leaves_hinders_none_of_the_others(oracle: Oracle) -> None:
    together = Gathering(oracle)
    first, second, third = (asyncio.ensure_future(together.ask(number)) for number in (1, 2, 3))
    await oracle.has_begun()
    second.cancel()
    oracle.may_answer.set()
    assert [await first, await third] == [2, 6]
    with pytest.raises(asyncio.CancelledError):
        await second
