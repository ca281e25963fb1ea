"""Claims of the paper, judged by numbers."""

import pytest

from training_worker.evaluation.paper.claims import Check, Claim, Verdict, at_least, beyond, less, near, within

YES = Check("there", holds=True, found="1 against 2")
NO = Check("elsewhere", holds=False, found="3 against 2")


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [((YES, YES), Verdict.HOLDS), ((YES, NO), Verdict.PARTLY), ((NO, NO), Verdict.NOT), ((YES,), Verdict.HOLDS)],
)
def test_a_claim_holds_where_every_comparison_does_and_partly_where_some_do(
    checks: tuple[Check, ...], verdict: Verdict
) -> None:
    assert Claim("one is below two", checks).verdict is verdict


def test_a_claim_that_nothing_bears_on_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing bears on the claim"):
        Claim("one is below two", ())


def test_a_claim_tells_where_it_does_not_hold_with_the_numbers() -> None:
    claim = Claim("one is below two", (YES, NO))
    assert claim.score == "1 of 2"
    assert claim.exceptions == (NO,)
    assert claim.told == "Holds in 1 of 2. Not for elsewhere (3 against 2)."


def test_a_claim_names_a_few_comparisons_and_counts_the_rest() -> None:
    assert Claim("many", (YES,) * 6).told.endswith("; and 2 more.")


def test_an_error_three_percent_above_a_reference_counts_as_equal_and_more_does_not() -> None:
    assert within("here", 2.575, 2.5).holds
    assert not within("here", 2.5751, 2.5).holds
    assert within("here", 1.0, 2.5).holds
    assert beyond("here", 2.5751, 2.5).holds
    assert not beyond("here", 2.575, 2.5).holds


def test_near_looks_to_either_side() -> None:
    assert near("here", 2.2, 2.0, 0.11).holds
    assert near("here", 1.8, 2.0, 0.11).holds
    assert not near("here", 2.3, 2.0, 0.11).holds
    assert not near("here", 1.7, 2.0, 0.11).holds


def test_equal_numbers_are_not_less_and_reach_what_is_stated() -> None:
    assert not less("here", 2.0, 2.0).holds
    assert at_least("here", 0.58, 0.58).holds
    assert not at_least("here", 0.57, 0.58).holds


def test_numbers_stand_in_what_was_found() -> None:
    assert within("here", 2.6, 2.5).found == "2.60 dB against 2.50 dB, +4.0 %"
    assert less("here", 0.91234, 0.95, unit="").found == "0.912 against 0.950"
    assert at_least("here", 0.6, 0.58).found == "60 % against 58 %"
