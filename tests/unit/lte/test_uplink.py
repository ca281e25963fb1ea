"""A whole uplink: its energies are those of its samples, and its channels are where and when they must be."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.numerology import Numerology
from bandwatch.lte.uplink.signal import SimulatedUplink, Transmission, Uplink, UplinkConfig

CONFIG = UplinkConfig(cell_identity=7)
IDLE = replace(CONFIG, load=0.0)
BLOCK_SAMPLES = 76_800


def uplink(config: UplinkConfig, seed: int = 1) -> Uplink:
    """Return an uplink."""
    return Uplink(config, np.random.SeedSequence(seed))


def by_subframe(transmission: Transmission) -> NDArray[np.float32]:
    """Return the energies [subframes, 14, blocks]."""
    energies = transmission.energies
    return energies.reshape(-1, 14, energies.shape[1])


def measured_energies(samples: NDArray[np.complex64], resource_blocks: int) -> NDArray[np.float64]:
    """Return the mean energy of the resource elements of each symbol and block [symbols, blocks]."""
    numerology = Numerology(resource_blocks)
    size, half = numerology.fft_size, numerology.subcarriers // 2
    slots = len(samples) // numerology.slot_samples
    starts = np.rint(numerology.symbol_times_s(slots) * numerology.sample_rate_hz).astype(int)
    shifted = samples[starts[:, np.newaxis] + np.arange(size)] * np.exp(-1j * np.pi * np.arange(size) / size)
    spectrum = np.fft.fft(shifted) * math.sqrt(2 * half) / size
    grid = np.concatenate([spectrum[:, -half:], spectrum[:, :half]], axis=1)
    means: NDArray[np.float64] = np.mean(np.abs(grid.reshape(len(grid), -1, 12)) ** 2, axis=2)
    return means


@pytest.mark.parametrize(
    "config",
    [
        UplinkConfig(7, 6, load=0.8, prach_period=5),
        UplinkConfig(302, 25, load=0.5, pucch_blocks=3, prach_period=5),
        UplinkConfig(503, 15, load=1.0, duplex="tdd", tdd_configuration=1, prach_period=5, srs_period=1),
    ],
)
def test_the_energies_are_those_of_the_samples_in_the_mean(config: UplinkConfig) -> None:
    source = uplink(config, seed=3)
    sent = source.next_transmission(20)
    while not (len(sent.random_access.gains) and len(sent.sounding.gains) and len(sent.data.gains)):
        sent = source.next_transmission(20)
    draws = [measured_energies(source.samples_of(sent), config.resource_blocks) for _ in range(120)]
    measured = np.mean(draws, axis=0)
    loud = sent.energies > 3e-3 * sent.energies.max()
    np.testing.assert_allclose(measured[loud], sent.energies[loud], rtol=0.4)
    assert np.mean(measured[loud] / sent.energies[loud]) == pytest.approx(1, abs=0.02)
    assert measured[~loud].max() < 6e-3 * sent.energies.max()


def test_samples_and_energies_have_the_length_and_the_type_of_the_subframes() -> None:
    source = uplink(CONFIG)
    for subframes in (1, 13):
        sent = source.next_transmission(subframes)
        assert sent.energies.shape == (14 * subframes, 25)
        assert sent.energies.dtype == np.float32
        samples = source.samples_of(sent)
        assert samples.shape == (7680 * subframes,)
        assert samples.dtype == np.complex64


def test_control_stays_at_the_edges_and_hops_between_them() -> None:
    energies = by_subframe(uplink(replace(IDLE, pucch_blocks=1)).next_transmission(400))
    quiet: NDArray[np.float32] = np.delete(energies, np.arange(1, 400, 10), axis=0)
    used: NDArray[np.bool_] = np.greater(quiet[:, :13], 0)
    assert used[:, :7, 0].any()
    assert used[:, 7:, 24].any()
    assert not used[:, :7, 24].any()
    assert not used[:, 7:, 0].any()
    assert not used[:, :, 1:24].any()


def test_sounding_is_heard_in_the_last_symbol_of_every_fifth_subframe_only() -> None:
    energies = by_subframe(uplink(IDLE).next_transmission(400))
    heard = np.max(energies[:, :, 12], axis=1) > 0
    last = np.max(energies[:, 13, 2:22], axis=1) > 0
    subframes = np.arange(400)
    assert not last[subframes % 5 != 0].any()
    assert last[subframes % 5 == 0].mean() > 0.2
    np.testing.assert_array_equal(heard, last)
    assert not energies[:, 13, [1, 22, 23]].any()


def test_data_leave_the_symbol_for_sounding_free() -> None:
    sent = uplink(replace(CONFIG, load=1.0, users=1, srs_period=1)).next_transmission(200)
    energies = by_subframe(sent)
    silent = np.setdiff1d(np.arange(200), sent.sounding.places.subframe)
    assert energies[silent, 12, 1:24].any()
    assert not energies[silent, 13, 1:24].any()


def test_preambles_come_in_their_subframes_and_nothing_else_there() -> None:
    sent = uplink(replace(CONFIG, load=1.0)).next_transmission(2000)
    subframes = sent.random_access.places.subframe
    assert set(subframes % 10) == {1}
    assert 10 < len(subframes) < 100
    chances = by_subframe(sent)[1::10]
    assert not chances[:, 13, 1:7].any()
    assert (chances[:, 5, 1:7].any(axis=1).sum()) == len(np.unique(subframes))


@pytest.mark.parametrize("configuration", range(7))
def test_a_tdd_cell_is_silent_outside_its_uplink_subframes(configuration: int) -> None:
    config = replace(CONFIG, load=1.0, duplex="tdd", tdd_configuration=configuration)
    letters = ("DSUUUDSUUU", "DSUUDDSUUD", "DSUDDDSUDD", "DSUUUDDDDD", "DSUUDDDDDD", "DSUDDDDDDD", "DSUUUDSUUD")
    is_uplink = np.array([letter == "U" for letter in letters[configuration]])
    energies = by_subframe(uplink(config).next_transmission(400)).sum(axis=(1, 2)).reshape(-1, 10)
    assert not energies[:, ~is_uplink].any()
    assert (energies[:, is_uplink] > 0).mean(axis=0).min() > 0.8


def test_a_call_that_holds_no_uplink_subframe_is_silence() -> None:
    source = uplink(replace(CONFIG, load=1.0, duplex="tdd", tdd_configuration=5))
    sent = source.next_transmission(2)
    assert not sent.energies.any()
    assert not source.samples_of(sent).any()
    assert source.next_transmission(1).energies.any()


def test_more_load_occupies_more_and_may_be_changed_on_the_way() -> None:
    source = uplink(replace(CONFIG, load=0.1))
    shares = []
    for load in (0.1, 0.4, 0.9):
        source.set_load(load)
        source.next_transmission(3000)
        energies = by_subframe(source.next_transmission(8000))
        shares.append((energies[:, 5, 1:24] > 0).mean())
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[2] > 0.5


def test_the_mean_energy_in_use_is_near_the_reference_level() -> None:
    means = []
    for seed in range(40):
        energies = by_subframe(uplink(replace(CONFIG, users=200), seed).next_transmission(200))[:, 5, 1:24]
        means.append(energies[energies > 0].mean())
    assert 10 * math.log10(np.mean(means)) == pytest.approx(0, abs=1.5)


def test_the_same_seed_and_calls_give_the_same_and_another_seed_does_not() -> None:
    first, again, other = (uplink(CONFIG, seed) for seed in (1, 1, 2))
    for subframes in (7, 40):
        sent = first.next_transmission(subframes)
        np.testing.assert_array_equal(sent.energies, again.next_transmission(subframes).energies)
        assert not np.array_equal(sent.energies, other.next_transmission(subframes).energies)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cell_identity", 504),
        ("resource_blocks", 7),
        ("load", 1.1),
        ("load", math.nan),
        ("users", 0),
        ("duplex", "half"),
        ("duplex", "tdd"),
        ("tdd_configuration", 1),
        ("pucch_blocks", 0),
        ("pucch_blocks", 24),
        ("srs_period", 3),
        ("prach_period", 1),
        ("carrier_hz", 0.0),
        ("carrier_hz", math.inf),
    ],
)
def test_an_impossible_uplink_is_refused(field: str, value: str | float) -> None:
    with pytest.raises(InvalidArgumentError):
        replace(CONFIG, **cast("dict[str, Any]", {field: value}))


def test_a_tdd_configuration_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="choose 0 to 6"):
        replace(CONFIG, duplex="tdd", tdd_configuration=7)


def test_a_load_or_a_length_that_makes_no_sense_is_refused() -> None:
    source = uplink(CONFIG)
    with pytest.raises(InvalidArgumentError):
        source.set_load(-0.1)
    with pytest.raises(InvalidArgumentError):
        source.next_transmission(0)


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * BLOCK_SAMPLES), max_size=6))
def test_any_split_of_reads_gives_the_same_stream(cuts: list[int]) -> None:
    small = replace(CONFIG, resource_blocks=6)
    whole = SimulatedUplink(small, 10.0, -30.0, seed=9).read(3 * BLOCK_SAMPLES)
    stream = SimulatedUplink(small, 10.0, -30.0, seed=9)
    pieces = [stream.read(stop - start) for start, stop in pairwise([0, *sorted(cuts), 3 * BLOCK_SAMPLES])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("signal_to_noise_db", [0.0, 20.0])
def test_signal_and_noise_have_the_levels_asked_for(signal_to_noise_db: float) -> None:
    noisy, clean = (
        SimulatedUplink(CONFIG, ratio, -25.0, seed=2).read(307_200) for ratio in (signal_to_noise_db, 300.0)
    )
    source = Uplink(CONFIG, np.random.SeedSequence(2).spawn(2)[0])
    sent = source.samples_of(source.next_transmission(40))
    np.testing.assert_allclose(clean, sent * 10 ** (-25 / 20), rtol=1e-3, atol=1e-6)
    noise = measured_energies(noisy - clean, 25)
    assert 10 * math.log10(noise.mean()) == pytest.approx(-25 - signal_to_noise_db, abs=0.1)


def test_a_stream_has_the_rate_of_its_width_and_refuses_negative_counts() -> None:
    stream = SimulatedUplink(CONFIG, 10.0, -30.0, seed=1)
    assert stream.sample_rate_hz == 7.68e6
    assert stream.read(5).dtype == np.complex64
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        stream.read(-1)


@pytest.mark.parametrize(("signal_to_noise_db", "level_dbfs"), [(math.inf, -30.0), (10.0, math.nan)])
def test_levels_that_are_not_finite_are_refused(signal_to_noise_db: float, level_dbfs: float) -> None:
    with pytest.raises(InvalidArgumentError, match="finite"):
        SimulatedUplink(CONFIG, signal_to_noise_db, level_dbfs, seed=1)
