"""Which stretches of time are heard."""

from collections import Counter

import numpy as np
import pytest

from bandwatch.lte.network.network import Network, paper_network, parse_network
from tests.unit.training_worker.test_evaluation_paper import network_text
from training_worker.evaluation.paper.places import places_of
from training_worker.evaluation.paper.plan import DAY_HOURS, NIGHT_HOURS, TEST_DAY, TRAINING_DAY, Plan
from training_worker.evaluation.paper.scale import FULL, SMALL, Scale
from training_worker.evaluation.paper.scenes import (
    ALL_HOURS,
    DAY_S,
    Listener,
    Scene,
    day,
    hour_of,
    interval,
    seconds_of,
)


@pytest.fixture(scope="module")
def network() -> Network:
    return paper_network()


@pytest.mark.parametrize("scale", [SMALL, FULL])
def test_a_day_has_a_stretch_in_each_hour_and_every_observer_hears_as_many(network: Network, scale: Scale) -> None:
    home = places_of(network).home
    scenes = Plan(scale, places_of(network), 0).day_of(home)
    assert {hour_of(scene) for scene in scenes} == set(ALL_HOURS)
    assert seconds_of(scenes) == pytest.approx(scale.day_s)
    shares = Counter(scene.observer for scene in scenes)
    assert set(shares) == set(home.heard_by)
    assert max(shares.values()) - min(shares.values()) <= 1


def test_day_and_night_share_no_hour_and_make_a_whole_day() -> None:
    assert sorted((*DAY_HOURS, *NIGHT_HOURS)) == list(ALL_HOURS)
    scenes = day(["a"], 1, 9.0, 0.5, NIGHT_HOURS)
    assert {hour_of(scene) for scene in scenes} == set(NIGHT_HOURS)


@pytest.mark.parametrize("scale", [SMALL, FULL])
def test_what_is_judged_is_of_another_day_than_what_is_trained_on(network: Network, scale: Scale) -> None:
    plan = Plan(scale, places_of(network), 0)
    cell = plan.places.neighbours[0]
    trained = (*plan.day_of(cell), *plan.minutes(cell), *plan.hour(cell))
    assert {scene.start_s // DAY_S for scene in trained} == {TRAINING_DAY}
    assert {(scene.start_s + scene.seconds) // DAY_S for scene in plan.test(cell)} == {TEST_DAY}
    assert {scene.start_s // DAY_S for scene in plan.test(cell, days_later=7)} == {TEST_DAY + 7}


def test_stretches_of_one_observer_never_overlap(network: Network) -> None:
    for scale in (SMALL, FULL):
        plan = Plan(scale, places_of(network), 0)
        home = plan.places.home
        for scenes in (plan.day_of(home), plan.hour(home), plan.minutes(home), plan.test(home)):
            for observer in home.heard_by:
                own = sorted((one.start_s, one.seconds) for one in scenes if one.observer == observer)
                starts, lengths = np.array(own).T
                assert (starts[1:] >= starts[:-1] + lengths[:-1]).all()


def test_an_interval_is_spread_from_its_start_to_its_end() -> None:
    scenes = interval(["a", "b"], 1000.0, 300.0, 12, 1.0)
    assert [scene.observer for scene in scenes[:3]] == ["a", "b", "a"]
    assert scenes[0].start_s == 1000
    assert 1250 < scenes[-1].start_s + scenes[-1].seconds <= 1300


def test_the_same_scene_is_heard_again_alike_after_it_was_forgotten() -> None:
    network = parse_network(network_text())
    scenes = [Scene("880-a-roof", start_s, 0.05) for start_s in (10.0, 20.0, 30.0)]
    forgetful, mindful = Listener(network, remembered_bytes=1), Listener(network)
    first = [forgetful.hear(scene) for scene in scenes]
    again = [forgetful.hear(scene) for scene in scenes]
    for one, other, kept in zip(first, again, scenes, strict=True):
        np.testing.assert_array_equal(one, other)
        assert mindful.hear(kept) is mindful.hear(kept)
    assert first[0] is not again[0]


def test_what_was_heard_cannot_be_written_to() -> None:
    heard = Listener(parse_network(network_text())).hear(Scene("880-a-roof", 10.0, 0.05))
    with pytest.raises(ValueError, match="read-only"):
        heard[0, 0] = 1
