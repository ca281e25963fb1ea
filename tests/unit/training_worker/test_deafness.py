"""A worker that its broker's messages do not reach any more ends, to be started anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from training_worker.deafness import DEAF, LOOKS, watch


class LookedEnoughError(Exception):
    """The story of a test is over, and the worker still runs."""


@dataclass
class Story:
    """What each look finds: how many messages wait, whether a place is free, how many messages came so far."""

    waiting: list[int]
    room: Callable[[int], bool] = lambda _: True
    came: Callable[[int], int] = lambda _: 5
    look: int = 0
    ended: list[int] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        """Whether a place is free; asked once at each look."""
        self.look += 1
        if self.look > len(self.waiting):
            raise LookedEnoughError
        return self.room(self.look)

    @property
    def taken(self) -> int:
        """How many messages came."""
        return self.came(self.look)

    def llen(self, _queue: str) -> int:
        """Return how many messages wait."""
        count = self.waiting[self.look - 1]
        if count < 0:
            raise redis.ConnectionError
        return count


def run(story: Any) -> Iterator[int]:
    watch(story, "bandwatch-training", story, story.ended.append, look_s=0)
    return iter(story.ended)


def test_a_worker_with_a_free_place_that_takes_no_waiting_message_ends() -> None:
    story = Story([1] * (LOOKS + 1))
    assert list(run(story)) == [DEAF]


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(Story([0] * 20), id="nothing waits"),
        pytest.param(Story([1, 1, 0] * 7), id="messages are taken by others"),
        pytest.param(Story([3] * 20, room=lambda _: False), id="no place is free"),
        pytest.param(Story([3] * 20, came=lambda look: look), id="messages come"),
        pytest.param(Story([-1] * 20), id="the broker is away"),
    ],
)
def test_a_worker_that_hears_or_has_nothing_to_hear_goes_on(story: Story) -> None:
    with pytest.raises(LookedEnoughError):
        run(story)
    assert story.ended == []
