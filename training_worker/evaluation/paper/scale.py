"""How much is computed: the same work, small for a quarter of an hour or large for a night."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scale:
    """The sizes of everything.

    Attributes:
        name: Of the scale.
        day_s: What is heard of a day, in stretches spread over all hours, by all observers of a cell in turn.
        place_s: The same for a model of one place.
        stretch_s: Length of those stretches.
        interval_stretches: Stretches that stand for five minutes; an hour has twice as many.
        interval_stretch_s: Length of each.
        test_s: What is judged of another day at each observer.
        test_stretch_s: Length of its stretches.
        test_hours: Hours of that day.
        stride_frames: Frames between the starts of windows that are fitted.
        passes: Windows that the gradient sees in training from random weights, each as often as it is seen.
        refit_passes: The same in refits of more than the dense layer.
        judged_s: What of a stretch with an anomaly is judged; it begins after a quarter of a second without.
        judged_hours: Hours of the day at which every observer judges each anomaly.
        clean_s: What is judged without anomaly for rates of false alarms.
        ratios_db: Power of interference over that of the cell.
        grown: Names of the amounts of local data from which students of every family are made.
    """

    name: str
    day_s: float
    place_s: float
    stretch_s: float
    interval_stretches: int
    interval_stretch_s: float
    test_s: float
    test_stretch_s: float
    test_hours: tuple[int, ...]
    stride_frames: int
    passes: int
    refit_passes: int
    judged_s: float
    judged_hours: tuple[int, ...]
    clean_s: float
    ratios_db: tuple[float, ...]
    grown: tuple[str, ...] = ("half a second", "5 seconds", "a minute", "5 minutes", "a day")

    @property
    def reductions(self) -> tuple[str, ...]:
        """Return sentences about what stands for what."""
        interval_s = self.interval_stretches * self.interval_stretch_s
        return (
            (
                f"A day is {self.day_s:.3g} s: stretches of about {self.stretch_s:.2g} s in all 24 hours, which the "
                f"observers of the cell hear in turn. A model of one place gets {self.place_s:.3g} s of a day there."
            ),
            (
                f"Five minutes are {self.interval_stretches} stretches of {self.interval_stretch_s:.2g} s within five "
                f"minutes, {interval_s:.3g} s in all; an hour is twice as many within an hour."
            ),
            (
                f"Errors are those of another day, {self.test_s:.3g} s of it at each observer, in stretches of "
                f"{self.test_stretch_s:.2g} s in {len(self.test_hours)} of its hours."
            ),
            (
                f"Training from random weights ends after {self.passes} windows at the latest, each counted as often "
                "as the gradient sees it. In the end the dense layer is solved exactly. An autoencoder sees twice as "
                "many, at a lower learning rate."
            ),
        )


SMALL: Final = Scale(
    name="small",
    day_s=57.6,
    place_s=15.36,
    stretch_s=0.64,
    interval_stretches=12,
    interval_stretch_s=0.96,
    test_s=3.84,
    test_stretch_s=0.32,
    test_hours=tuple(range(0, 24, 2)),
    stride_frames=25,
    passes=50_000,
    refit_passes=20_000,
    judged_s=0.704,
    judged_hours=(4, 10, 16),
    clean_s=24.0,
    ratios_db=(-20.0, -10.0, 0.0),
)
"""A quarter of an hour on two cores."""

FULL: Final = Scale(
    name="full",
    day_s=1440.0,
    place_s=480.0,
    stretch_s=4.0,
    interval_stretches=60,
    interval_stretch_s=4.0,
    test_s=120.0,
    test_stretch_s=1.0,
    test_hours=tuple(range(24)),
    stride_frames=10,
    passes=4_000_000,
    refit_passes=1_000_000,
    judged_s=1.024,
    judged_hours=(2, 5, 8, 11, 14, 17, 20, 23),
    clean_s=480.0,
    ratios_db=(-20.0, -15.0, -10.0, -5.0, 0.0),
)
"""A night, or a large machine."""

SCALES: Final = {scale.name: scale for scale in (SMALL, FULL)}
"""Scales by name."""
