"""How charts are drawn: matplotlib, loaded with the first chart, to inline SVG that is the same for the same input."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, FAINT = "#1d2430", "#5a6475", "#d8dde5", "#eef1f5"
ACCENT = "#1f5fa8"
KIND_COLOURS = {"vsd": "#3b6fb6", "mssd": "#d07a1f", "mspd": "#2f8f74"}
METHOD_COLOURS = ("#1f5fa8", "#d07a1f", "#2f8f74", "#8e4ea8", "#b83b4b", "#6b7280")
BAD_TO_GOOD = ("#b83b4b", "#e08a3c", "#e8d08a", "#6fb0a8", "#1f5fa8")  # tells apart without red against green

# Text stays text and takes the page's own font: small files, sharp print, words that can be searched.
STYLE: dict[str, Any] = {
    "svg.hashsalt": "mrc-net",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#aab2bf",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": "#aab2bf",
    "ytick.color": "#aab2bf",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def require_matplotlib() -> None:
    """Loads matplotlib.

    Raises:
        RuntimeError: it is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RuntimeError(
            "the report's charts need matplotlib, which is not installed: pip install matplotlib (it is in the extra "
            "`report`), or pass --no-report for the scores and tables alone"
        ) from error


def chart(width_in: float, height_in: float, title: str, draw: Callable[[Figure], None]) -> str:
    """One chart as an SVG element that fills the width of what it stands in.

    Args:
        width_in, height_in: inches; 11.6 is the width of the page, so that text has the size of the page's notes.
        title: for those who cannot see it, and for the ids inside, so it must differ from those of other charts.
        draw: fills an empty figure.

    Raises:
        RuntimeError: see `require_matplotlib`.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        draw(figure)
        stream = io.StringIO()
        empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=empty)
    return _inline(stream.getvalue(), title)


def _inline(document: str, title: str) -> str:
    """An SVG file as an element of a page: no headers, no size but its proportions, ids of its own, no font."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would hold for the whole page
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    body = text[text.index(">") + 1 :]
    body = re.sub(r"font: ([\d.]*\w*) ?([\d.]+px) [^;\"]*", _font, body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = body.replace("xlink:href=", "href=")
    prefix = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{prefix}-\g<2>", body)
    return (
        f'<svg class="chart" role="img" aria-label="{label}" {box[0]}>'
        + re.sub(r">\s*\n\s*<", "><", body).strip()
    )


def _font(match: re.Match[str]) -> str:
    weight = "font-weight: bold; " if match[1] in ("bold", "700") else ""
    return f"{weight}font-size: {match[2]}"


def percent_axis(axis: Axes, label: str) -> None:
    """Makes y run from 0 to 100 %."""
    axis.set_ylim(0, 102)
    axis.set_yticks(range(0, 101, 20))
    axis.set_ylabel(label)


def darker(colour: str) -> str:
    """A bright colour (#rrggbb) so that it can be read as a line on white."""
    return "#" + "".join(f"{round(0.72 * int(colour[i : i + 2], 16)):02x}" for i in (1, 3, 5))
