"""Every experiment, in the order of the page."""

from typing import Final

from training_worker.evaluation.paper.amounts import FIGURE_9
from training_worker.evaluation.paper.bands import FIGURE_5, TABLE_2
from training_worker.evaluation.paper.cells import FIGURE_8
from training_worker.evaluation.paper.interference import FIGURE_12
from training_worker.evaluation.paper.local_data import GROWTH
from training_worker.evaluation.paper.locations import TABLE_1
from training_worker.evaluation.paper.misconfigurations import TABLE_3
from training_worker.evaluation.paper.other_bands import FIGURE_10
from training_worker.evaluation.paper.rivals import FIGURE_13
from training_worker.evaluation.paper.sections import Experiment
from training_worker.evaluation.paper.waterfalls import FIGURE_4, FIGURE_11

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    TABLE_1,
    TABLE_2,
    FIGURE_4,
    FIGURE_5,
    FIGURE_8,
    FIGURE_9,
    FIGURE_10,
    TABLE_3,
    FIGURE_11,
    FIGURE_12,
    FIGURE_13,
    GROWTH,
)
"""Tables and figures of the paper, and what goes beyond."""
