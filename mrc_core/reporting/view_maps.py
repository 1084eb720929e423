"""Recall by the side of the object that is seen: one small map of the sphere of directions for each object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mrc_core.reporting.charts import PAGE_WIDTH_IN
from mrc_core.reporting.grouping import VIEW_STEP_DEG, ViewMap
from mrc_core.reporting.plotting import BAD_TO_GOOD, INK, MUTED, chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MOST_COLUMNS = 5
FULL_CELL_AT_LEAST = (
    5  # instances that fill a cell, where no cell has more: one instance never looks like many
)


def view_maps_chart(maps: Sequence[tuple[str, ViewMap]], title: str) -> str:
    """Azimuth by elevation; a square's colour is recall, its area the number of instances.

    Args:
        maps: name and cells of each object.
    """
    columns = min(len(maps), MOST_COLUMNS)
    lines = math.ceil(len(maps) / columns)
    width = PAGE_WIDTH_IN / columns
    height = lines * (0.5 * width + 0.25) + 0.75

    def draw(figure: Figure) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        colours = LinearSegmentedColormap.from_list("bad_to_good", BAD_TO_GOOD)
        axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axis, (name, cells) in zip(axes.flat, maps):
            _draw_map(axis, name, cells, colours)
        for axis in axes.flat[len(maps) :]:
            axis.set_visible(False)
        bar = figure.colorbar(
            ScalarMappable(Normalize(0, 100), colours),
            ax=axes,
            location="bottom",
            aspect=60,
            shrink=0.5,
            pad=0.02,
        )
        bar.set_label("ADD(-S) recall, %")
        bar.outline.set_visible(False)  # type: ignore[operator]

    return chart(PAGE_WIDTH_IN, height, title, draw)


def _draw_map(axis: Axes, name: str, cells: ViewMap, colours: Colormap) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    full = max(int(cells.count.max()), FULL_CELL_AT_LEAST)
    sides = (VIEW_STEP_DEG - 2) * np.sqrt(cells.count / full)
    corners = zip(cells.azimuth_deg - sides / 2, cells.elevation_deg - sides / 2, sides)
    squares = [Rectangle((x, y), side, side) for x, y, side in corners]
    axis.add_collection(PatchCollection(squares, facecolors=colours(cells.recall), edgecolors="none"))
    axis.set_title(f"{name} · {full}", fontsize=8.5)
    axis.set_xlim(-180, 180)
    axis.set_ylim(-90, 90)
    axis.set_aspect("equal")
    axis.set_xticks([-180, -90, 0, 90, 180], ["", "−y", "+x", "+y", "−x"])
    axis.set_yticks([-90, 0, 90], ["−z", "0°", "+z"])
    axis.grid(linewidth=0.5)
    axis.tick_params(length=2, labelsize=7.5, labelcolor=MUTED, color=INK)
