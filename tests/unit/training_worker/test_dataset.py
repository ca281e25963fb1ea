"""Windows by number, and their split into blocks of time."""

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandwatch.errors import FailedPreconditionError
from training_worker.learning.dataset import FOLDS, WindowSet, batches

LENGTHS = st.lists(st.integers(0, 1500), max_size=3).map(lambda extra: [700, *extra])


def numbered(frames: int, segment: int) -> npt.NDArray[np.uint8]:
    """Return frames that say in their first bins which frame of which segment they are."""
    codes = np.zeros((frames, 128), dtype=np.uint8)
    codes[:, 0], codes[:, 1], codes[:, 2] = np.arange(frames) // 256, np.arange(frames) % 256, segment
    return codes


def frames_of(windows: WindowSet, indices: npt.NDArray[np.intp]) -> set[tuple[int, int]]:
    """Return every (segment, frame) that the windows hold."""
    codes = windows.gather(indices).reshape(-1, 128).astype(int) if len(indices) else np.zeros((0, 128), dtype=int)
    return set(zip(codes[:, 2].tolist(), (codes[:, 0] * 256 + codes[:, 1]).tolist(), strict=True))


@settings(deadline=None, max_examples=30)
@given(lengths=LENGTHS, stride=st.integers(1, 15), seed=st.integers(0, 99))
def test_no_fitted_window_shares_a_frame_with_a_held_out_one(lengths: list[int], stride: int, seed: int) -> None:
    windows = WindowSet.cut([numbered(n, number) for number, n in enumerate(lengths)], stride, seed)
    for fold in range(FOLDS):
        held_out = frames_of(windows, windows.held_out(fold))
        assert held_out
        assert not held_out & frames_of(windows, windows.fitted(fold))


@settings(deadline=None, max_examples=30)
@given(lengths=LENGTHS, stride=st.integers(1, 15))
def test_every_window_of_every_segment_is_there_once_and_in_order(lengths: list[int], stride: int) -> None:
    windows = WindowSet.cut([numbered(n, number) for number, n in enumerate(lengths)], stride, seed=0)
    expected = [(number, start) for number, n in enumerate(lengths) for start in range(n - 124) if start % stride == 0]
    codes = windows.gather(np.arange(len(windows))).astype(int)
    assert list(zip(codes[:, 0, 2], codes[:, 0, 0] * 256 + codes[:, 0, 1], strict=True)) == expected
    assert (np.diff(codes[:, :, 0] * 256 + codes[:, :, 1], axis=1) == 1).all()


def test_folds_are_held_out_once_each_and_every_long_segment_gives_to_all() -> None:
    windows = WindowSet.cut([numbered(15625, 0), numbered(1953, 1)], stride_frames=5, seed=3)
    held_out = np.concatenate([windows.held_out(fold) for fold in range(FOLDS)])
    assert len(np.unique(held_out)) == len(held_out)
    for fold in range(FOLDS):
        assert {segment for segment, _ in frames_of(windows, windows.held_out(fold))} == {0, 1}


def test_a_held_out_fold_of_half_a_second_is_one_contiguous_block() -> None:
    windows = WindowSet.cut([numbered(1953, 0)], stride_frames=1, seed=0)
    for fold in range(FOLDS):
        frames = sorted(frame for _, frame in frames_of(windows, windows.held_out(fold)))
        assert frames == list(range(frames[0], frames[-1] + 1))
        assert len(frames) in {390, 391}


def test_the_split_follows_from_the_seed() -> None:
    segments = [numbered(1953, 0)]
    held_out = [WindowSet.cut(segments, 5, seed).held_out(0).tolist() for seed in (1, 1, *range(60))]
    assert held_out[0] == held_out[1]
    assert len({tuple(indices) for indices in held_out}) == FOLDS


@given(stride=st.integers(1, 400))
def test_the_time_that_a_refusal_asks_for_is_enough(stride: int) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        WindowSet.cut([numbered(620, 0)], stride, seed=0)
    needed_s = re.search(r"training needs (\d+\.\d\d) s", str(refused.value))
    assert needed_s is not None
    WindowSet.cut([numbered(int((float(needed_s[1]) + 0.005) / 256e-6), 0)], stride, seed=0)


def test_no_segment_at_all_is_too_little() -> None:
    with pytest.raises(FailedPreconditionError, match=r"longest of 0 segments holds 0\.00 s"):
        WindowSet.cut([], 5, seed=0)


def test_five_short_segments_can_be_left_out_one_by_one() -> None:
    windows = WindowSet.cut([numbered(200, number) for number in range(5)], stride_frames=5, seed=0)
    for fold in range(FOLDS):
        assert len({segment for segment, _ in frames_of(windows, windows.held_out(fold))}) == 1


def test_windows_of_a_run_follow_one_another_in_one_block_of_one_segment() -> None:
    windows = WindowSet.cut([numbered(1953, 0), numbered(200, 1)], stride_frames=20, seed=0)
    for indices in (np.arange(len(windows)), windows.in_order(windows.held_out(2))):
        runs = windows.runs(indices)
        starts = windows.segment[indices] * 10_000 + windows.place[indices] * 20
        for before, after, first, second in zip(runs[:-1], runs[1:], indices[:-1], indices[1:], strict=True):
            follows = starts[indices == second][0] - starts[indices == first][0] == 20
            assert (before == after) == (follows and windows.first_fold[first] == windows.first_fold[second])
            assert after - before in {0, 1}
    assert windows.runs(np.array([], np.intp)).tolist() == []


@given(st.permutations(range(8)))
def test_windows_in_order_are_sorted_by_segment_and_time(order: list[int]) -> None:
    windows = WindowSet.cut([numbered(700, 0), numbered(700, 1)], stride_frames=140, seed=0)
    codes = windows.gather(windows.in_order(np.array(order))).astype(int)[:, 0]
    places = list(zip(codes[:, 2], codes[:, 0] * 256 + codes[:, 1], strict=True))
    assert places == sorted(places)


def test_gathering_copies_so_that_no_caller_writes_into_a_segment() -> None:
    windows = WindowSet.cut([numbered(1000, 0)], stride_frames=5, seed=0)
    windows.gather(np.array([0]))[:] = 9
    assert frames_of(windows, np.array([0])) == {(0, frame) for frame in range(125)}


@given(count=st.integers(0, 50), size=st.integers(1, 20))
def test_batches_joined_are_what_was_split(count: int, size: int) -> None:
    parts = list(batches(np.arange(count), size))
    assert [int(index) for part in parts for index in part] == list(range(count))
    assert all(len(part) <= size for part in parts)
