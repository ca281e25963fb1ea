"""Drawings as SVG that suit a light page and a dark one: lines and letters take the colour of the text around them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

INK: Final = "#7a8494"
"""Colour of letters and lines; it can be read on white and on black, and a page may replace it by its own."""
COLOURS: Final = ("#2f7ed8", "#e0752c", "#2ca58d", "#c2467f", "#8a6fd1", "#a08a2b", "#5c9e3a", "#7a8494")
"""Colours of series, in order."""
RESIDUAL_DB: Final = (-12.0, 12.0)
"""Range of the colours of what is left over."""
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bandwatch",
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A series of points; its colour is one of `COLOURS` by number, or else the next one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    colour: int | None = None


def lines(series: Sequence[Line], x_label: str, y_label: str, *, log_x: bool = False, diagonal: bool = False) -> str:
    """Return lines in one plot."""
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(7.2, 3.6), layout="constrained")
        _draw_lines(drawing.subplots(), series, log_x=log_x, diagonal=diagonal, legend=True)
        drawing.supxlabel(x_label, fontsize=9)
        drawing.supylabel(y_label, fontsize=9)
        return _svg(drawing)


def line_panels(
    panels: Mapping[str, Sequence[Line]], x_label: str, y_label: str, columns: int, *, log_x: bool = False
) -> str:
    """Return several plots that share their axes; the legend names every line of any of them once."""
    rows = -(-len(panels) // columns)
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(3 * columns, 2.6 * rows), layout="constrained")
        axes = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, (title, series) in zip(axes, panels.items(), strict=False):
            _draw_lines(panel, series, log_x=log_x, diagonal=True, legend=False)
            panel.set_title(title, fontsize=9)
        named = {
            label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        drawing.legend(
            list(named.values()), list(named), loc="outside upper center", ncols=-(-len(named) // 2), fontsize=8
        )
        for panel in axes[len(panels) :]:
            panel.set_axis_off()
        drawing.supxlabel(x_label, fontsize=9)
        drawing.supylabel(y_label, fontsize=9)
        return _svg(drawing)


def boxes(groups: Mapping[str, Mapping[str, Floats]], y_label: str) -> str:
    """Return boxes for values [n] by group and member: quartiles, and whiskers from 5 to 95 %."""
    members = list(dict.fromkeys(member for group in groups.values() for member in group))
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(7.2, 3.4), layout="constrained")
        panel = drawing.subplots()
        for number, member in enumerate(members):
            at = [place + (number - (len(members) - 1) / 2) * 0.28 for place in range(len(groups))]
            panel.bxp(
                [_box(group[member]) for group in groups.values()],
                positions=at,
                widths=0.22,
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": COLOURS[number], "edgecolor": INK, "label": member},
                medianprops={"color": INK},
                whiskerprops={"color": INK},
                capprops={"color": INK},
            )
        panel.set_xticks(range(len(groups)), list(groups))
        panel.set_ylabel(y_label)
        panel.grid(axis="y")
        panel.legend()
        return _svg(drawing)


def bars(groups: Mapping[str, Mapping[str, tuple[float, float]]], y_label: str) -> str:
    """Return bars with whiskers of a deviation, for (mean, deviation) by group and member."""
    members = list(dict.fromkeys(member for group in groups.values() for member in group))
    width = 0.8 / len(members)
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(7.2, 3.4), layout="constrained")
        panel = drawing.subplots()
        for number, member in enumerate(members):
            at = np.arange(len(groups)) + (number - (len(members) - 1) / 2) * width
            means, deviations = zip(*(group[member] for group in groups.values()), strict=True)
            panel.bar(at, means, 0.9 * width, yerr=deviations, color=COLOURS[number], ecolor=INK, label=member)
        panel.set_xticks(range(len(groups)), list(groups))
        panel.set_ylabel(y_label)
        panel.grid(axis="y")
        drawing.legend(loc="outside upper center", ncols=3, fontsize=8)
        return _svg(drawing)


def waterfalls(rows: Mapping[str, Mapping[str, Floats]], frame_ms: float) -> str:
    """Return spectrograms, frames [n, 128] in dB by row and column; a column "residual" has a scale about zero."""
    columns = list(next(iter(rows.values())))
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(8.6, 1.7 * len(rows) + 0.5), layout="constrained")
        axes = drawing.subplots(len(rows), len(columns), sharex="row", sharey=True, squeeze=False)
        for panels, (row, pictures) in zip(axes, rows.items(), strict=True):
            low, high = np.percentile(pictures[columns[0]], (1, 99))
            for panel, column in zip(panels, columns, strict=True):
                _draw_frames(panel, pictures[column], frame_ms, RESIDUAL_DB if column == "residual" else (low, high))
            panels[0].set_ylabel(row, fontsize=8)
        for panel, column in zip(axes[0], columns, strict=True):
            panel.set_title(column, fontsize=9)
        drawing.supxlabel("milliseconds; frequency goes upward", fontsize=9)
        return _svg(drawing)


def _draw_lines(panel: Axes, series: Sequence[Line], *, log_x: bool, diagonal: bool, legend: bool) -> None:
    for number, line in enumerate(series):
        colour = COLOURS[(number if line.colour is None else line.colour) % len(COLOURS)]
        style = "--" if line.dashed else "-"
        panel.plot(line.x, line.y, style, color=colour, label=line.name, marker="" if diagonal else "o", markersize=4)
    if diagonal:
        chance = np.geomspace(1e-3, 1, 60)  # bent where the axis is logarithmic
        panel.plot(chance, chance, ":", color=INK, linewidth=0.8)
    if log_x:
        panel.set_xscale("log")
    panel.grid(visible=True)
    if legend:
        panel.legend(fontsize=8)


def _draw_frames(panel: Axes, frames: Floats, frame_ms: float, range_db: tuple[float, float]) -> None:
    panel.imshow(
        frames.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, len(frames) * frame_ms, 0.0, float(frames.shape[1])),
        interpolation="none",
        vmin=range_db[0],
        vmax=range_db[1],
        cmap="RdBu_r" if range_db is RESIDUAL_DB else "viridis",
    )
    panel.set_yticks([])


def _box(values: Floats) -> dict[str, float]:
    names = ("whislo", "q1", "med", "q3", "whishi")
    return dict(zip(names, np.percentile(values, (5, 25, 50, 75, 95)).tolist(), strict=True))


def _svg(drawing: Drawing) -> str:
    """Return a drawing as SVG without the lines before its root, and the same every time."""
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True, dpi=110)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
