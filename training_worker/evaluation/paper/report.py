"""All that was found, and its plain form."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from training_worker.evaluation.paper.claims import Claim
from training_worker.evaluation.paper.sections import Section

TITLE: Final = "Scaling deep learning models for spectrum anomaly detection, on a simulated network"
"""Title of the page."""
SOURCE: Final = "Scaling Deep Learning Models for Spectrum Anomaly Detection, MobiHoc 2019"
"""The paper."""
MAPPING: Final = (
    "Where a table or figure of the paper is known here by its number alone, what stands under that number is our "
    "mapping of numbers to contents: figures 4, 5 and 8 to 13. A value of the paper that we do not have is marked "
    '"not stated".'
)
"""What the page says about the numbers of figures."""


@dataclass(frozen=True)
class Report:
    """What a page shows.

    Attributes:
        scale: Name of the scale.
        seed: Where chance began.
        remarks: Sentences about what stands for what.
        sections: Tables and figures.
    """

    scale: str
    seed: int
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def claims(self) -> tuple[tuple[Section, Claim], ...]:
        """Return every claim with its section."""
        return tuple((section, claim) for section in self.sections for claim in section.claims)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without drawings."""
        return {
            "title": TITLE,
            "source": SOURCE,
            "scale": self.scale,
            "seed": self.seed,
            "remarks": [*self.remarks, MAPPING],
            "claims": [
                {"section": section.name, "claim": claim.sentence, "verdict": claim.verdict, "told": claim.told}
                | {"checks": [asdict(check) for check in claim.checks]}
                for section, claim in self.claims
            ],
            "sections": [_plain(section) for section in self.sections],
        }


def _plain(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "stated": section.stated,
        "seen": section.seen,
        "tables": [asdict(table) for table in section.tables],
        "figures": [
            {"name": figure.name, "caption": figure.caption, "numbers": figure.numbers} for figure in section.figures
        ],
    }
