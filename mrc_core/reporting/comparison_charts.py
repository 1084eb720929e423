"""Charts of methods side by side: a forest of differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mrc_core.evaluation.comparison import Difference
from mrc_core.reporting.charts import PAGE_WIDTH_IN
from mrc_core.reporting.plotting import INK, METHOD_COLOURS, MUTED, chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRIC_NAMES = {
    "ar": "AR",
    "ar_vsd": "AR, VSD",
    "ar_mssd": "AR, MSSD",
    "ar_mspd": "AR, MSPD",
    "recall_add(-s)": "ADD(-S)",
}
Forest = Sequence[tuple[str, Sequence[Difference]]]
"""Lines from above to below: a label, and a difference for each method."""


def method_colour(place: int) -> str:
    """Of a method by its place; the baseline is 0."""
    return METHOD_COLOURS[place % len(METHOD_COLOURS)]


def forest_chart(panels: Sequence[tuple[str, Forest]], title: str) -> str:
    """Differences to the baseline in percentage points: a point, and its 95 % interval as a line.

    Args:
        panels: a title and lines for each.
    """
    lines = max((len(forest) for _, forest in panels), default=0)
    methods = max((len(group) for _, forest in panels for _, group in forest), default=1)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, forest) in zip(axes, panels):
            _draw_forest(axis, name, forest)
            axis.set_ylim(max(len(forest), lines) - 0.4, -0.6)  # equal heights of lines, the first above

    return chart(PAGE_WIDTH_IN, 1.0 + lines * (0.2 + 0.14 * methods), title, draw)


def _draw_forest(axis: Axes, name: str, forest: Forest) -> None:
    axis.axvline(0, color=INK, linewidth=0.9)
    for line, (_, group) in enumerate(forest):
        for i, one in enumerate(group):
            if one.difference is None:
                continue
            y = line + 0.56 * ((i + 0.5) / len(group) - 0.5)
            colour = method_colour(i + 1)
            if one.low is not None and one.high is not None:
                axis.plot([100 * one.low, 100 * one.high], [y, y], "-", color=colour, linewidth=2, alpha=0.75)
            axis.plot(
                100 * one.difference,
                y,
                "o",
                markersize=5.5,
                markeredgecolor=colour,
                markeredgewidth=1.4,
                markerfacecolor=colour if one.is_clear else "white",
            )
    reach = max((abs(v) for v in axis.get_xlim()), default=1)
    axis.set_xlim(-reach, reach)
    axis.set_yticks(range(len(forest)), [label for label, _ in forest])
    axis.set_title(name)
    axis.set_xlabel("difference, percentage points")
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="y", visible=False)
    for text, shift, align in (("← worse", -5, "right"), ("better →", 5, "left")):
        axis.annotate(text, (0, 1), xycoords=axis.get_xaxis_transform(), xytext=(shift, 2), textcoords="offset points",
                      ha=align, va="bottom", fontsize=7.5, color=MUTED)  # fmt: skip
