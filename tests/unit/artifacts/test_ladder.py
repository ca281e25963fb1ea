"""Which rung a model stands on, and where it may judge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.artifacts.ladder import Rung, highest, is_meant_for, rung_of

BANDS = st.sampled_from(["bands/a", "bands/b"])
CELLS = st.sampled_from(["cells/x", "cells/y"])


@pytest.mark.parametrize(
    ("band", "cell", "rung"),
    [
        ("bands/a", "cells/x", Rung.STUDENT),
        ("bands/a", None, Rung.TEACHER),
        (None, None, Rung.GLOBAL),
        ("", "", Rung.GLOBAL),
    ],
)
def test_a_model_stands_where_its_target_says(band: str | None, cell: str | None, rung: Rung) -> None:
    assert rung_of(band=band, cell=cell) is rung


@given(BANDS, st.none() | CELLS, BANDS, CELLS)
def test_a_student_judges_in_its_cell_only_and_a_teacher_on_its_band_only(
    model_band: str, model_cell: str | None, band: str, cell: str
) -> None:
    expected = model_band == band and (model_cell is None or model_cell == cell)
    assert is_meant_for(model_band, model_cell, band=band, cell=cell) == expected


@given(BANDS, CELLS)
def test_the_global_teacher_judges_everywhere(band: str, cell: str) -> None:
    assert is_meant_for(None, None, band=band, cell=cell)


@given(st.lists(st.integers()), st.sets(st.integers()))
def test_the_highest_rung_that_stands_is_taken(ladder: list[int], standing: set[int]) -> None:
    found = highest(ladder, standing.__contains__)
    left = [rung for rung in ladder if rung in standing]
    assert found == (left[0] if left else None)
