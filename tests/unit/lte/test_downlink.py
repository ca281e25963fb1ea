"""What a cell sends, demodulated as a receiver would, against positions and values from TS 36.211."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.energy import ALMOST_BLANK, VARIANTS
from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.numerology import Numerology
from bandwatch.lte.sequences import secondary_synchronisation

FFT_SIZES = {6: 128, 15: 256, 25: 512, 50: 1024}
CELLS = [(0, 6), (101, 15), (302, 25), (503, 50)]


def send(
    cell_identity: int, resource_blocks: int, load: float = 0.5, blocks: int = 1, port: int = 0, **changes: Any
) -> NDArray[np.complex64]:
    """Return the samples of one port of a cell without a channel."""
    config = CellConfig(cell_identity, resource_blocks, load, **changes)
    downlink = Downlink(config, np.random.SeedSequence(4))
    numerology = Numerology(resource_blocks)
    return np.concatenate([numerology.modulate(downlink.next_grid()[port]).reshape(-1) for _ in range(blocks)])


def demodulate(samples: NDArray[np.complex64], resource_blocks: int) -> NDArray[np.complex128]:
    """Return resource elements [symbols, subcarriers], one Fourier sum after each prefix (6.12)."""
    size, half = FFT_SIZES[resource_blocks], 6 * resource_blocks
    rows, at = [], 0
    for _ in range(len(samples) // (size * 15 // 2)):
        for symbol in range(7):
            at += (160 if symbol == 0 else 144) * size // 2048
            spectrum = np.fft.fft(samples[at : at + size]) * math.sqrt(2 * half) / size
            rows.append(np.concatenate([spectrum[-half:], spectrum[1 : half + 1]]))
            at += size
    return np.array(rows)


def gold(initial: int, length: int) -> NDArray[np.int64]:
    """Write out 7.2 bit by bit."""
    x1, x2 = [1] + [0] * 30, [(initial >> i) & 1 for i in range(31)]
    for n in range(1600 + length):
        x1.append(x1[n + 3] ^ x1[n])
        x2.append(x2[n + 3] ^ x2[n + 2] ^ x2[n + 1] ^ x2[n])
    return np.bitwise_xor(x1[1600 : 1600 + length], x2[1600 : 1600 + length])


def reference_elements(cell_identity: int, resource_blocks: int, port: int = 0) -> Iterator[tuple[int, int, complex]]:
    """Give symbol of the frame, subcarrier and value of each reference element of a port (6.10.1)."""
    for slot in range(20):
        for symbol, v in ((0, 3 * port), (4, 3 - 3 * port)):
            initial = 2**10 * (7 * (slot + 1) + symbol + 1) * (2 * cell_identity + 1) + 2 * cell_identity + 1
            c = gold(initial, 440)
            for m in range(2 * resource_blocks):
                shifted = m + 110 - resource_blocks
                value = complex(1 - 2 * c[2 * shifted], 1 - 2 * c[2 * shifted + 1]) / math.sqrt(2)
                yield slot * 7 + symbol, 6 * m + (v + cell_identity % 6) % 6, value


def synchronisation_starts(duplex: str, size: int) -> int:
    """Return where the useful part of the primary signal begins in a half frame, in samples (6.11.1.2, 6.12)."""
    before_ts = {"fdd": 15_360 - 2048, "tdd": 30_720 + (160 + 2048) + (144 + 2048) + 144}[duplex]
    return before_ts * size // 2048


@pytest.mark.parametrize("duplex", ["fdd", "tdd"])
@pytest.mark.parametrize("resource_blocks", [6, 25])
@pytest.mark.parametrize("identity_in_group", [0, 1, 2])
def test_the_primary_signal_is_found_every_5_ms_and_nowhere_better(
    identity_in_group: int, resource_blocks: int, duplex: str
) -> None:
    samples = send(99 + identity_in_group, resource_blocks, duplex=duplex, tdd_configuration=3)
    size = FFT_SIZES[resource_blocks]
    peaks = []
    for root in (25, 29, 34):
        spectrum = np.zeros(size, complex)
        for n in range(62):
            sequence = np.exp(-1j * np.pi * root * (n * (n + 1) if n <= 30 else (n + 1) * (n + 2)) / 63)
            spectrum[n - 31 if n <= 30 else n - 30] = sequence
        correlation = np.abs(scipy.signal.correlate(samples, np.fft.ifft(spectrum), mode="valid"))
        half_frames = correlation[: len(correlation) // (size * 75) * size * 75].reshape(-1, size * 75)
        peaks.append((half_frames.max(axis=1).min(), half_frames.argmax(axis=1)))
    strongest = max(range(3), key=lambda identity: float(peaks[identity][0]))
    assert strongest == identity_in_group
    assert set(peaks[identity_in_group][1]) == {synchronisation_starts(duplex, size)}


def test_the_secondary_signal_of_a_tdd_cell_ends_subframes_0_and_5() -> None:
    grid = demodulate(send(302, 15, duplex="tdd"), 15).reshape(4, 10, 14, 180)
    for subframe in (0, 5):
        expected = secondary_synchronisation(100, 2, subframe)
        for frame in grid:
            np.testing.assert_allclose(frame[subframe, 13, 59:121], expected, atol=1e-4)
            assert np.abs(frame[subframe, 13, [54, 55, 56, 57, 58, 121, 122, 123, 124, 125]]).max() < 1e-4


@pytest.mark.parametrize(("cell_identity", "resource_blocks"), CELLS)
@pytest.mark.parametrize(("ports", "port"), [(1, 0), (2, 0), (2, 1)])
def test_reference_signals_have_the_places_and_values_of_the_cell(
    cell_identity: int, resource_blocks: int, ports: int, port: int
) -> None:
    samples = send(cell_identity, resource_blocks, port=port, ports=ports)
    grid = demodulate(samples[: FFT_SIZES[resource_blocks] * 150], resource_blocks)
    symbols, subcarriers, values = zip(*reference_elements(cell_identity, resource_blocks, port), strict=True)
    np.testing.assert_allclose(grid[symbols, subcarriers], values, atol=1e-4)


@pytest.mark.parametrize("symbol", [5, 7])
def test_two_ports_send_pairs_of_symbols_by_transmit_diversity(symbol: int) -> None:
    downlink = Downlink(CellConfig(7, 25, load=1.0, ports=2), np.random.SeedSequence(1))
    first, second = downlink.grids_of(everything(downlink, 25))[:, 14 * 4 + symbol]
    columns = [k for k in range(300) if symbol != 7 or k % 3 != 7 % 3]
    assert np.abs(first[columns]).min() > 0.3
    np.testing.assert_allclose(second[columns][0::2], -first[columns][1::2].conj(), atol=1e-6)
    np.testing.assert_allclose(second[columns][1::2], first[columns][0::2].conj(), atol=1e-6)


def test_the_broadcast_channel_too_is_sent_by_transmit_diversity() -> None:
    downlink = Downlink(CellConfig(7, 6, load=0.0, ports=2), np.random.SeedSequence(1))
    first, second = downlink.next_grid()[:, 9]
    np.testing.assert_allclose(np.abs(first), 0.5**0.5, atol=1e-6)
    np.testing.assert_allclose(second[0::2], -first[1::2].conj(), atol=1e-6)
    np.testing.assert_allclose(second[1::2], first[0::2].conj(), atol=1e-6)


def everything(downlink: Downlink, resource_blocks: int) -> Service:
    """Return ten subframes in which everything is served."""
    ten = downlink.next_service(10)
    return Service(ten.kind, np.ones(10, np.float32), np.ones((10, resource_blocks), np.float32))


@pytest.mark.parametrize(("cell_identity", "resource_blocks"), CELLS)
def test_the_broadcast_channel_repeats_one_message_for_40_ms(cell_identity: int, resource_blocks: int) -> None:
    grid = demodulate(send(cell_identity, resource_blocks, blocks=2), resource_blocks)
    start = 6 * resource_blocks - 36
    messages = []
    for frame in range(8):
        elements = [
            grid[140 * frame + 7 + symbol, k]
            for symbol in range(4)
            for k in range(start, start + 72)
            if symbol > 1 or k % 3 != cell_identity % 3
        ]
        bits = (np.stack([np.real(elements), np.imag(elements)], axis=1) < 0).reshape(-1)
        messages.append(bits ^ gold(cell_identity, 1920)[frame % 4 * 480 :][:480])
    first, second = np.array(messages[:4]).reshape(-1, 120), np.array(messages[4:]).reshape(-1, 120)
    assert (first == first[0]).all()
    assert (second == second[0]).all()
    assert (first[0] != second[0]).any()


def test_silence_surrounds_the_synchronisation_signals() -> None:
    grid = np.abs(demodulate(send(7, 25, load=1.0), 25)).reshape(8, 5, 14, 300)
    middle = grid[:, 0, 5:7, 114:186]
    np.testing.assert_allclose(middle[:, :, 5:67], 1, atol=1e-4)
    assert middle[:, :, :5].max() < 1e-4
    assert middle[:, :, 67:].max() < 1e-4


def test_a_resource_block_pair_is_used_as_a_whole_or_not_at_all() -> None:
    cell_identity = 302
    used = np.abs(demodulate(send(cell_identity, 25, load=0.4), 25)) > 0.3
    free = np.ones((140, 300), bool)
    for symbol, subcarrier, _ in reference_elements(cell_identity, 25):
        free[symbol, subcarrier] = False
    free[:, 114:186] = False
    pairs = (used.reshape(4, 140, 300) & free).reshape(40, 14, 25, 12)[:, 4:].sum(axis=(1, 3))
    possible = free.reshape(10, 14, 25, 12)[:, 4:].sum(axis=(1, 3))[0]
    outside = possible > 100
    assert set(np.unique(pairs[:, outside] / possible[outside])) == {0.0, 1.0}


@pytest.mark.parametrize(("cell_identity", "resource_blocks"), CELLS)
def test_the_control_format_indicator_is_always_there_and_port_1_is_kept_free(
    cell_identity: int, resource_blocks: int
) -> None:
    first = np.abs(demodulate(send(cell_identity, resource_blocks, load=0.0), resource_blocks)[::14])
    subcarriers = 12 * resource_blocks
    start = 6 * (cell_identity % (2 * resource_blocks))
    for i in range(4):
        group = (start + (i * resource_blocks // 2) * 6) % subcarriers
        data = [k for k in range(group, group + 6) if k % 3 != cell_identity % 3]
        np.testing.assert_allclose(first[:, data], 1, atol=1e-4)
    port_1 = [k for k in range(subcarriers) if k % 6 == (cell_identity + 3) % 6]
    assert first[:, port_1].max() < 1e-4


def test_what_is_served_does_not_depend_on_how_it_is_asked_for() -> None:
    config = CellConfig(7, 25, load=0.6, almost_blank_subframes="0000100000" * 4)
    first, second = (Downlink(config, np.random.SeedSequence(3)) for _ in range(2))
    whole = first.next_service(120)
    pieces = [second.next_service(count) for count in (7, 33, 80)]
    for name in ("kind", "control_share", "blocks"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(piece, name) for piece in pieces]))


def test_what_is_served_does_not_depend_on_whether_symbols_are_drawn_for_it() -> None:
    first, second = (Downlink(CellConfig(7, 6), np.random.SeedSequence(3)) for _ in range(2))
    first.next_grid()
    second.next_service(40)
    np.testing.assert_array_equal(first.next_service(40).blocks, second.next_service(40).blocks)


def test_an_almost_blank_subframe_announces_system_information_as_usual() -> None:
    downlink = Downlink(CellConfig(7, 25, load=0.0, almost_blank_subframes="1" * 40), np.random.SeedSequence(1))
    served = downlink.next_service(320)
    announced = np.flatnonzero(served.kind % VARIANTS != ALMOST_BLANK)
    assert announced.tolist() == [at for at in range(320) if at % 20 == 5 or at % 80 == 0 or at % 160 == 10]
    assert (served.blocks.any(axis=1) == (served.kind % VARIANTS != ALMOST_BLANK)).all()
    assert (served.kind // VARIANTS).tolist() == list(range(10)) * 32


def test_a_new_load_takes_effect_while_the_cell_runs() -> None:
    downlink = Downlink(CellConfig(7, 25, load=0.0), np.random.SeedSequence(1))
    assert downlink.next_service(1000).blocks.mean() < 0.02
    downlink.set_load(0.9)
    downlink.next_service(2000)
    assert downlink.next_service(4000).blocks.mean() > 0.6
    downlink.set_load(0.0)
    downlink.next_service(8000)
    assert downlink.next_service(1000).blocks.mean() < 0.1


def test_more_load_means_more_control() -> None:
    shares = []
    for load in (0.0, 0.5, 1.0):
        used = np.abs(demodulate(send(7, 25, load), 25)).reshape(40, 14, 300) > 0.3
        shares.append(used[:, 0].mean())
    assert shares == sorted(shares)
    assert shares[0] < 0.3 < shares[2] < 1.0


@pytest.mark.parametrize("resource_blocks", FFT_SIZES)
def test_a_full_cell_occupies_its_resource_blocks_and_little_else(resource_blocks: int) -> None:
    rate_hz = FFT_SIZES[resource_blocks] * 15_000
    frequency, density = scipy.signal.welch(
        send(7, resource_blocks, load=1.0), rate_hz, nperseg=1024, return_onesided=False, scaling="density"
    )
    order = np.argsort(frequency)
    share = np.cumsum(density[order]) / density.sum()
    low, high = frequency[order][np.searchsorted(share, [0.005, 0.995])]
    assert high - low == pytest.approx(resource_blocks * 180e3, rel=0.03)
    inside = density[np.abs(frequency) < resource_blocks * 90e3].mean()
    outside = density[np.abs(frequency) > resource_blocks * 90e3 + 250e3].mean()
    assert 10 * math.log10(inside / outside) > 24


@pytest.mark.parametrize("resource_blocks", FFT_SIZES)
def test_a_grid_of_unit_power_gives_samples_of_unit_power_and_nothing_at_the_carrier(resource_blocks: int) -> None:
    rng = np.random.default_rng(1)
    grid = np.exp(2j * np.pi * rng.random((140, 12 * resource_blocks))).astype(np.complex64)
    numerology = Numerology(resource_blocks)
    samples = numerology.modulate(grid).reshape(-1)
    assert np.mean(np.abs(samples) ** 2) == pytest.approx(1, rel=0.02)
    assert len(samples) == numerology.sample_rate_hz / 100
    np.testing.assert_allclose(demodulate(samples, resource_blocks), grid, atol=1e-4)
    starts = np.rint(numerology.symbol_times_s(20) * numerology.sample_rate_hz).astype(int)
    size = FFT_SIZES[resource_blocks]
    for start, row in zip(starts, grid, strict=True):
        useful = samples[start : start + size]
        assert abs(useful.mean()) < 1e-4
        tone = np.exp(-2j * np.pi * numerology.subcarrier_hz()[0] * np.arange(size) / numerology.sample_rate_hz)
        assert abs(np.sum(useful * tone) * math.sqrt(12 * resource_blocks) / size - row[0]) < 1e-3


def test_an_unknown_width_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="choose from 6, 15, 25, 50"):
        Numerology(100)
