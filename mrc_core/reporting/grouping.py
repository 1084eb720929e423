"""Instances in groups: by what is visible, by distance, by the side that is seen. Numbers only; charts draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrc_core.evaluation.instances import Instance

Array = NDArray[np.float64]

VISIBLE_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
FEW = 5  # below, a group's quartiles say little
PER_GROUP = 10  # instances that a group by distance should have at least
MOST_GROUPS = 6
VIEW_STEP_DEG = 30


@dataclass(frozen=True)
class Group:
    """Some instances.

    Attributes:
        label: what is written below it.
        recall: share that is right by ADD(-S), missed ones included.
        quartiles: 25, 50 and 75 % of MSSD in diameters over those with an estimate, None where there is none.
    """

    label: str
    count: int
    recall: float
    quartiles: tuple[float, float, float] | None


def summarise_group(label: str, rows: Sequence[Instance]) -> Group:
    """The figures of at least one instance."""
    errors = [one.mssd / one.diameter for one in rows if one.est is not None]
    quartiles = tuple(float(v) for v in np.percentile(errors, (25, 50, 75))) if errors else None
    return Group(label, len(rows), float(np.mean([one.is_right for one in rows])), quartiles)  # type: ignore[arg-type]


def by_visibility(rows: Sequence[Instance]) -> list[Group]:
    """Groups between VISIBLE_EDGES that have an instance; an upper edge belongs to the next group, 1 to the last."""
    out = []
    for low, high in zip(VISIBLE_EDGES, VISIBLE_EDGES[1:]):
        mine = [
            one for one in rows if low <= one.visible and (one.visible < high or high == VISIBLE_EDGES[-1])
        ]
        if mine:
            out.append(summarise_group(f"{100 * low:.0f}–{100 * high:.0f}", mine))
    return out


def by_quantity(rows: Sequence[Instance], values: Sequence[float], template: str) -> list[Group]:
    """Up to six groups of about the same number of instances, from the smallest value to the largest.

    Equal numbers, because distances crowd: groups of equal width would be empty at both ends.

    Args:
        values: one for each row.
        template: a format for an edge, `{:.2f}`; a label is `from-to`.
    """
    if not rows:
        return []
    order = np.argsort(np.asarray(values), kind="stable")
    parts = np.array_split(order, int(np.clip(len(rows) // PER_GROUP, 1, MOST_GROUPS)))
    out = []
    for part in parts:
        low, high = template.format(values[part[0]]), template.format(values[part[-1]])
        label = low if low == high else f"{low}–{high}"
        out.append(summarise_group(label, [rows[i] for i in part]))
    return out


@dataclass(frozen=True, eq=False)
class ViewMap:
    """Instances of an object by the side that is seen, in cells of azimuth and elevation.

    Attributes:
        azimuth_deg, elevation_deg: (C,) middles of the cells that have an instance. Azimuth is the angle of the
            direction to the camera from x towards y, elevation that above the xy plane, in the object's frame.
        count: (C,).
        recall: (C,) by ADD(-S).
    """

    azimuth_deg: Array
    elevation_deg: Array
    count: NDArray[np.int64]
    recall: Array


def view_map(rows: Sequence[Instance]) -> ViewMap:
    """Cells of 30 by 30 degrees."""
    directions = np.stack([one.direction for one in rows]) if rows else np.zeros((0, 3))
    azimuth = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))  # -180..180
    elevation = np.degrees(np.arcsin(np.clip(directions[:, 2], -1, 1)))
    columns, lines = 360 // VIEW_STEP_DEG, 180 // VIEW_STEP_DEG
    column = np.floor((azimuth + 180) / VIEW_STEP_DEG).astype(int) % columns  # 180 is -180
    line = np.clip(np.floor((elevation + 90) / VIEW_STEP_DEG).astype(int), 0, lines - 1)
    cell = line * columns + column
    right = np.array([one.is_right for one in rows], dtype=np.float64)
    count = np.bincount(cell, minlength=columns * lines)
    hits = np.bincount(cell, weights=right, minlength=columns * lines)
    used = count.nonzero()[0]
    return ViewMap(
        np.asarray((used % columns + 0.5) * VIEW_STEP_DEG - 180, dtype=np.float64),
        np.asarray((used // columns + 0.5) * VIEW_STEP_DEG - 90, dtype=np.float64),
        count[used],
        hits[used] / count[used],
    )
