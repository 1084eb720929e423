"""The charts of a report, each from numbers to one SVG element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mrc_core.evaluation.target_errors import MSPD_THRESHOLDS_PX, MSSD_THRESHOLDS, VSD_THETAS
from mrc_core.reporting.grouping import FEW, Group
from mrc_core.reporting.plotting import ACCENT, INK, chart, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_WIDTH_IN = 11.6
LEAST_PERCENT = 0.05  # of a diameter; smaller errors are drawn there
NAMED_CURVES = 8  # more objects than these are grey
Curves = Mapping[str, Sequence[float]]
"""Recall (10) by kind of error, see `recall_curves`."""

_PANELS = (
    ("vsd", "VSD", VSD_THETAS, "threshold θ (mean over ten tolerances τ)"),
    ("mssd", "MSSD", MSSD_THRESHOLDS, "threshold in diameters"),
    ("mspd", "MSPD", MSPD_THRESHOLDS_PX, "threshold in px at 640 px width"),
)

_LOG_TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


def recall_chart(total: Curves, others: Mapping[str, Curves], colours: Mapping[str, str], title: str) -> str:
    """Recall against threshold, a panel a kind of error that was computed.

    Args:
        total: drawn strong, in the colour of its kind; empty to draw the others alone.
        others: thin curves by name: of objects, or of methods.
        colours: of the named curves; those without are grey and not in the legend.
    """
    panels = [panel for panel in _PANELS if any(panel[0] in one for one in (total, *others.values()))]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (kind, name, thresholds, label) in zip(axes, panels):
            for who, curves in others.items():
                if kind in curves:
                    colour, width = colours.get(who, "#b9c1cc"), 1.3 if who in colours else 0.8
                    values = [100 * v for v in curves[kind]]
                    look = (
                        {"linewidth": width} if total else {"linewidth": 2, "marker": "o", "markersize": 3.5}
                    )
                    axis.plot(thresholds, values, "-", color=colour, label=who, **look)
            if kind in total:
                values = [100 * v for v in total[kind]]
                axis.plot(thresholds, values, "o-", color=INK, linewidth=2, markersize=3.5, label="all")
                axis.set_title(f"{name} · AR {np.mean(values):.1f}")
            else:
                axis.set_title(name)
            axis.set_xlabel(label)
            axis.set_xlim(0, thresholds[-1] * 1.02)
            percent_axis(axis, "recall, %" if axis is axes[0] else "")
        handles, names = axes[0].get_legend_handles_labels()
        named = [(h, n) for h, n in zip(handles, names) if n in colours or n == "all"]
        if len(named) > 1:
            figure.legend(
                [h for h, _ in named], [n for _, n in named], loc="outside lower center", ncols=len(named)
            )

    return chart(PAGE_WIDTH_IN, 3.5, title, draw)


def groups_chart(columns: Sequence[tuple[str, str, Sequence[Group]]], title: str) -> str:
    """Recall (above) and MSSD (below) of groups of instances; the range of MSSD's thresholds has a grey ground.

    Args:
        columns: title, label of the axis, and groups of each.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, len(columns), sharey="row", sharex="col", squeeze=False)
        for above, below, (name, label, groups) in zip(axes[0], axes[1], columns):
            first = above is axes[0][0]
            _recall_bars(above, groups)
            above.set_title(name)
            percent_axis(above, "ADD(-S) recall, %" if first else "")
            _error_bars(below, groups)
            below.set_xlabel(label)
            below.set_ylabel("MSSD, % of the diameter" if first else "")
        quartiles = [group.quartiles for _, _, groups in columns for group in groups if group.quartiles]
        known = [100 * edge for one in quartiles for edge in (one[0], one[2])]
        axes[1][0].set_ylim(
            max(min([*known, 4]) * 0.7, 0.8 * LEAST_PERCENT), max([*known, 60]) * 1.4
        )  # axes share it

    return chart(PAGE_WIDTH_IN, 4.8, title, draw)


def _recall_bars(axis: Axes, groups: Sequence[Group]) -> None:
    for i, group in enumerate(groups):
        few = group.count < FEW
        axis.bar(i, 100 * group.recall, 0.62, color="#a9c0dc" if few else ACCENT, linewidth=0)
        height = 100 * group.recall
        inside = height > 16
        colour = "white" if inside and not few else INK
        axis.text(i, height - 2.5 if inside else height + 1.5, f"{height:.0f}", ha="center",
                  va="top" if inside else "bottom", color=colour, fontsize=8)  # fmt: skip
    axis.grid(axis="x", visible=False)
    axis.tick_params(axis="x", length=0)


def _error_bars(axis: Axes, groups: Sequence[Group]) -> None:
    """Medians as points, quartiles as lines, on a logarithmic scale: errors of flips are a hundred times those of the
    rest."""
    axis.axhspan(5, 50, color="#f3f5f8", linewidth=0)
    for i, group in enumerate(groups):
        if group.quartiles is not None:
            low, middle, high = (max(100 * v, LEAST_PERCENT) for v in group.quartiles)
            axis.plot([i, i], [low, high], "-", color="#9db7d6", linewidth=7, solid_capstyle="butt")
            axis.plot(i, middle, "o", color=ACCENT, markersize=5)
    axis.set_yscale("log")
    axis.set_yticks(_LOG_TICKS, [f"{tick:g}" for tick in _LOG_TICKS])
    axis.set_xticks(
        range(len(groups)), [f"{group.label}\nn = {group.count}" for group in groups], fontsize=7.5
    )
    axis.set_xlim(-0.6, max(len(groups), 1) - 0.4)
    axis.grid(axis="x", visible=False)
    axis.tick_params(axis="x", length=0)
    axis.minorticks_off()


def latency_chart(seconds: Sequence[float], title: str) -> str:
    """Histogram of the images' times (n,), in milliseconds, with the median and the 95 % quantile."""
    values = 1e3 * np.asarray(seconds, dtype=np.float64)
    p50, p95 = (float(v) for v in np.percentile(values, (50, 95)))

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        top = max(float(values.max()) * 1.05, 1.25 * p95, 1.0)  # room for its label
        axis.hist(values, bins=np.linspace(0, top, 36).tolist(), color="#9db7d6", linewidth=0)
        ceiling = axis.get_ylim()[1] * 1.18
        axis.set_ylim(0, ceiling)
        for value, label, align in ((p50, "p50", "right"), (p95, "p95", "left")):
            axis.axvline(value, color=INK, linewidth=1, linestyle="--")
            axis.annotate(f"{label} {value:.0f} ms", (value, ceiling), xytext=(-4 if align == "right" else 4, -9),
                          textcoords="offset points", ha=align, va="center", fontweight="bold")  # fmt: skip
        axis.set_xlim(0, top)
        axis.set_xlabel("time of an image, ms")
        axis.set_ylabel("images")
        axis.locator_params(axis="y", integer=True)
        axis.grid(axis="x", visible=False)

    return chart(PAGE_WIDTH_IN * 0.62, 2.7, title, draw)
