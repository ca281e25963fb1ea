"""SC-FDMA samples, demodulated as a receiver would, against TS 36.211, 5.3 to 5.7."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.lte.numerology import Numerology
from bandwatch.lte.uplink.energy import Sending, Transmission, received_energies
from bandwatch.lte.uplink.schedule import Places
from bandwatch.lte.uplink.sequences import preamble_spectrum, reference_sequence
from bandwatch.lte.uplink.symbols import UplinkSymbols, modulate, subcarrier_hz

NUMEROLOGY = Numerology(25)
DELAYS_S = np.array([0.0, 1.5e-6])
CELL = 7


def demodulate(samples: NDArray[np.complex64], resource_blocks: int = 25) -> NDArray[np.complex128]:
    """Return resource elements [symbols, subcarriers] by the sum that undoes 5.6 for each of them."""
    size, half = {6: 128, 15: 256, 25: 512, 50: 1024}[resource_blocks], 6 * resource_blocks
    wave = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(-half, half) + 0.5) / size)
    rows, at = [], 0
    for symbol in range(7 * (len(samples) // (size * 15 // 2))):
        at += (160 if symbol % 7 == 0 else 144) * size // 2048
        rows.append(samples[at : at + size] @ wave * math.sqrt(2 * half) / size)
        at += size
    return np.array(rows)


def sending(*rows: tuple[int, int, int, int, int]) -> Sending:
    """Return rows of subframe, user, first block in either slot, and width, received with gains that tell blocks."""
    table = np.array(rows, np.int64).reshape(-1, 5)
    gains = (0.5 + np.arange(25) / 25) * np.exp(1j * np.arange(25))
    places = Places(table[:, 0], table[:, 1], table[:, 2:4], table[:, 4])
    return Sending(places, np.tile(gains.astype(np.complex64), (len(table), 1)))


def transmission(
    data: Sending | None = None,
    control: Sending | None = None,
    sounding: Sending | None = None,
    random_access: Sending | None = None,
    sounded: tuple[bool, ...] = (False,),
) -> Transmission:
    """Return a transmission of what is given."""
    parts = [part or sending() for part in (data, control, sounding, random_access)]
    flags = np.array(sounded)
    energies, unbroken = received_energies(parts[0], parts[1], parts[2], parts[3], flags)
    return Transmission(energies, unbroken, parts[0], parts[1], parts[2], parts[3], flags)


def elements(sent: Transmission, seed: int = 1) -> NDArray[np.complex128]:
    """Return the resource elements that arrive [symbols, subcarriers]."""
    symbols = UplinkSymbols(CELL, NUMEROLOGY, DELAYS_S, np.random.default_rng(seed))
    return demodulate(symbols.samples(sent))


def undo(received: NDArray[np.complex128], gains: NDArray[np.complex64], delay_s: float) -> NDArray[np.complex128]:
    """Take gains and delay off elements [symbols, 300]."""
    turns = np.exp(2j * np.pi * subcarrier_hz(NUMEROLOGY) * delay_s)
    sent: NDArray[np.complex128] = received / np.repeat(gains, 12) * turns
    return sent


@pytest.mark.parametrize("resource_blocks", [6, 15, 25, 50])
def test_a_modulated_grid_can_be_demodulated_and_keeps_its_power(resource_blocks: int) -> None:
    rng = np.random.default_rng(1)
    grid = np.exp(2j * np.pi * rng.random((140, 12 * resource_blocks))).astype(np.complex64)
    samples = modulate(grid, Numerology(resource_blocks)).reshape(-1)
    assert np.mean(np.abs(samples) ** 2) == pytest.approx(1, rel=0.02)
    np.testing.assert_allclose(demodulate(samples, resource_blocks), grid, atol=1e-3)


def test_a_subcarrier_is_a_tone_half_a_subcarrier_off_and_starts_with_its_prefix() -> None:
    grid = np.zeros((7, 300), np.complex64)
    grid[2, 157] = 1
    samples = modulate(grid, NUMEROLOGY)[0]
    start, prefix = (160 + 2 * 144) // 4 + 2 * 512, 144 // 4
    time = np.arange(-prefix, 512) / 512
    np.testing.assert_allclose(
        samples[start - prefix : start + 512], np.exp(2j * np.pi * 7.5 * time) / math.sqrt(300), atol=1e-6
    )
    samples[start - prefix : start + 512] = 0
    assert not samples.any()


def test_data_are_precoded_qpsk_between_reference_signals_of_the_cell() -> None:
    data = sending((0, 1, 5, 5, 6))
    received = undo(elements(transmission(data)), data.gains[0], DELAYS_S[1])[:, 60:132]
    symbols = np.fft.ifft(received, norm="ortho")
    data_rows = [row for row in range(14) if row % 7 != 3]
    np.testing.assert_allclose(np.abs(symbols[data_rows].real), math.sqrt(0.5), atol=1e-3)
    np.testing.assert_allclose(np.abs(symbols[data_rows].imag), math.sqrt(0.5), atol=1e-3)
    turns = received[[3, 10]] / reference_sequence(CELL, 72)
    steps = turns[:, 1:] / turns[:, :-1]
    np.testing.assert_allclose(np.abs(turns), 1, atol=1e-3)
    np.testing.assert_allclose(steps**12, 1, atol=0.05)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:1, :1], steps.shape), atol=0.01)


def test_data_keep_out_of_other_blocks_and_of_the_symbol_for_sounding() -> None:
    received = np.abs(elements(transmission(sending((0, 0, 5, 5, 6), (1, 0, 5, 5, 6)), sounded=(True, False))))
    assert received[:, :60].max() < 1e-4
    assert received[:, 132:].max() < 1e-4
    assert received[13].max() < 1e-4
    assert received[27].max() > 0.1


def test_control_fills_a_block_in_each_slot_with_symbols_of_one_power() -> None:
    control = sending((0, 0, 0, 24, 1))
    received = undo(elements(transmission(control=control)), control.gains[0], 0.0)
    for slot, other, block in ((slice(0, 7), slice(7, 14), 0), (slice(7, 14), slice(0, 7), 24)):
        np.testing.assert_allclose(np.abs(received[slot, 12 * block : 12 * block + 12]), 1, atol=1e-3)
        assert np.abs(received[other, 12 * block : 12 * block + 12]).max() < 1e-3


def test_sounding_takes_every_second_subcarrier_of_the_last_symbol() -> None:
    for user in range(2):
        sounding = sending((0, user, 2, 2, 20))
        received = np.abs(undo(elements(transmission(sounding=sounding)), sounding.gains[0], DELAYS_S[user]))
        np.testing.assert_allclose(received[13, 24 + user : 264 : 2], 1, atol=1e-3)
        assert received[13, 25 - user : 264 : 2].max() < 1e-3
        assert received[:13].max() < 1e-3


def test_a_preamble_has_the_subcarriers_of_5_7_3_and_ends_before_the_subframe() -> None:
    access = sending((1, 0, 2, 2, 6))
    symbols = UplinkSymbols(CELL, NUMEROLOGY, DELAYS_S, np.random.default_rng(1))
    samples = symbols.samples(transmission(random_access=access, sounded=(False, False))).reshape(2, 7680)
    assert not samples[0].any()
    assert not samples[1, 792 + 6144 :].any()
    np.testing.assert_allclose(samples[1, :792], samples[1, 6144 : 6144 + 792], atol=1e-5)
    k = np.arange(839)
    lines = k + 7 + 12 * (2 * 12 - 150 + 0.5)
    spectrum = np.exp(-2j * np.pi * np.outer(lines, np.arange(6144)) / 6144) @ samples[1, 792 : 792 + 6144] / 6144
    found = spectrum * math.sqrt(300 * 12) / access.gains[0][2 + (k + 13) // 144]
    np.testing.assert_allclose(np.abs(found), 1, atol=1e-3)
    shifted = found / preamble_spectrum(CELL, 0)
    np.testing.assert_allclose(shifted[1:] / shifted[:-1], (shifted[1] / shifted[0]).repeat(838), atol=0.02)


def test_users_on_the_same_elements_add_up() -> None:
    control = sending((0, 0, 0, 24, 1), (0, 1, 0, 24, 1))
    energies = np.mean([np.abs(elements(transmission(control=control), seed)) ** 2 for seed in range(200)], axis=0)
    np.testing.assert_allclose(energies[:7, :12], 2 * np.abs(control.gains[0, 0]) ** 2, rtol=0.4)
