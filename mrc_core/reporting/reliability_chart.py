"""The picture of a calibration: stated probabilities against what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mrc_core.evaluation.reliability import ReliabilityBin
from mrc_core.reporting.plotting import ACCENT, INK, LINE, METHOD_COLOURS, MUTED, STYLE, require_matplotlib

DPI = 150


def write_reliability_chart(path: Path, curves: Mapping[str, Sequence[ReliabilityBin]]) -> None:
    """Writes a PNG with one panel a curve: the share of right poses by stated probability, over a histogram of these.

    Raises:
        RuntimeError: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "figure.facecolor": "white"}):
        figure = Figure(figsize=(3.6 * len(curves), 3.5), layout="constrained")
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for panel, colour, (title, rows) in zip(panels, (ACCENT, *METHOD_COLOURS[1:]), curves.items()):
            total = sum(row.number for row in rows)
            centres = [50 * (row.low + row.high) for row in rows]
            shares = [100 * row.number / max(total, 1) for row in rows]
            panel.bar(centres, shares, width=9, color=LINE, label="share of all poses")
            panel.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=0.9, label="stated = right")
            seen = [row for row in rows if row.number]
            x, y = [100 * row.stated for row in seen], [100 * row.right for row in seen]
            panel.plot(x, y, "o-", color=colour, linewidth=1.8, markersize=4, label="right")
            panel.set_title(f"{title} · {total} poses", color=INK)
            panel.set_xlabel("stated probability, %")
            panel.set_xlim(0, 100)
            panel.set_ylim(0, 102)
        panels[0].set_ylabel("ADD(-S) < 0.1 d, %")
        panels[0].legend(loc="upper left")
        partial = path.with_name("partial." + path.name)
        figure.savefig(partial, dpi=DPI, metadata={"Software": None})
        partial.replace(path)
