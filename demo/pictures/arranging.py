"""Puts props on a table and on each other, close together and without cutting into each other.

A grid of cells over the table knows what covers it, seen from above. Two props never share a cell unless one of them
carries the other, and then a plane parts them: what carries is below its flat top, what is carried above.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .resting import find_top, pose_on, stands_firmly, table_top
from .things import Placed, Prop

Array = NDArray[np.float64]
CELL_M = 0.003
BRIM_M = 0.012  # footprints keep this far from the table's edge
HIGHEST_M = 0.14  # nobody stacks things on what is higher
FREE = -1
TRIES_UPON = 12


class Arrangement:
    """What stands on a table of `size` (x, y) metres, whose top's middle is the world's origin."""

    def __init__(self, size: tuple[float, float]) -> None:
        self.placed: list[Placed] = []
        self._table = table_top(size)
        cells = [2 * int((side / 2 - BRIM_M) / CELL_M) for side in size]
        self._corner = -np.array(cells) * CELL_M / 2  # of the first cell
        self._owner = np.full((cells[1], cells[0]), FREE, np.int32)  # rows go along y

    def put(self, prop: Prop, rotation: Array, wish_xy: Sequence[float], obj_id: int = 0) -> bool:
        """Sets a prop on the table, as near to a wish as there is room; False where there is none.

        Args:
            prop: what.
            rotation: world_from_prop (3, 3), a resting one.
            wish_xy: where its bounding box's middle is to be, metres.
            obj_id: see `Placed`.
        """
        pose = pose_on(self._table, prop, rotation, np.zeros(2))
        stamp, first = _footprint(prop, pose)
        if stamp.shape[0] > self._owner.shape[0] or stamp.shape[1] > self._owner.shape[1]:
            return False
        taken = (self._owner != FREE).astype(np.float32)
        shared = cv2.matchTemplate(taken, stamp.astype(np.float32), cv2.TM_CCORR)
        rows, columns = np.nonzero(shared < 0.5)
        if len(rows) == 0:
            return False
        # footprints move by whole cells: the wish is rounded to the grid
        wish = np.rint((np.asarray(wish_xy) - self._corner) / CELL_M) + first
        nearest = np.argmin((columns - wish[0]) ** 2 + (rows - wish[1]) ** 2)
        cell = np.array([columns[nearest], rows[nearest]])
        pose[:2, 3] += self._corner + (cell - first) * CELL_M
        self._add(Placed(prop, pose, obj_id), stamp, cell)
        return True

    def put_upon(
        self, prop: Prop, rotation: Array, carrier: int, rng: np.random.Generator, obj_id: int = 0
    ) -> bool:
        """Sets a prop on the top of the prop number `carrier`; False where it would not stand firmly or not fit."""
        top = find_top(self.placed[carrier]) if self.placed[carrier].prop.carries else None
        if top is None:
            return False
        low, high = top.outline_xy.min(axis=0), top.outline_xy.max(axis=0)
        for _ in range(TRIES_UPON):
            at = rng.uniform(low, high)
            pose = pose_on(top, prop, rotation, at)
            if not stands_firmly(top, prop, pose):
                continue
            stamp, first = _footprint(prop, pose)
            cell = np.rint(-self._corner / CELL_M).astype(int) + first
            view = self._view(stamp, cell)
            if view is not None and np.isin(view[stamp > 0], (FREE, carrier)).all():
                self._add(Placed(prop, pose, obj_id), stamp, cell)
                return True
        return False

    def lay(self, prop: Prop, rotation: Array, at_xy: Sequence[float]) -> None:
        """Lays something as thin as paper on the table, as near to a place as no corner hangs over.

        It lies at the height that it is modelled at; other things may stand on it, and sink in by as much.
        """
        reach = np.abs(prop.vertices @ rotation.T).max(axis=0)[:2]
        room = np.maximum(self._table.outline_xy.max(axis=0) - reach, 0)
        pose = np.eye(4)
        pose[:3, :3], pose[:2, 3] = rotation, np.clip(at_xy, -room, room)
        self.placed.append(Placed(prop, pose))

    def carriers(self) -> list[int]:
        """Numbers of the props that other things may stand on: those with a flat top that is not high up."""
        low = [
            i
            for i, item in enumerate(self.placed)
            if item.prop.carries and item.points[:, 2].max() < HIGHEST_M
        ]
        return [i for i in low if find_top(self.placed[i]) is not None]

    def _add(self, item: Placed, stamp: NDArray[np.uint8], cell: NDArray[np.int64]) -> None:
        view = self._view(stamp, cell)
        assert view is not None
        view[stamp > 0] = len(self.placed)
        self.placed.append(item)

    def _view(self, stamp: NDArray[np.uint8], cell: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """The cells below a stamp whose first is `cell` (column, row); None where it reaches over the grid's edge."""
        (column, row), (height, width) = cell, stamp.shape
        if (
            column < 0
            or row < 0
            or row + height > self._owner.shape[0]
            or column + width > self._owner.shape[1]
        ):
            return None
        return self._owner[row : row + height, column : column + width]


def _footprint(prop: Prop, pose: Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The cells (rows, columns) that a prop covers seen from above, one more all around, and the first one's place.

    That place (column, row) counts cells from the world's origin.
    """
    points = (prop.vertices @ pose[:3, :3].T + pose[:3, 3])[:, :2] / CELL_M
    first = np.floor(points.min(axis=0)).astype(int) - 1
    columns, rows = (np.ceil(points.max(axis=0)).astype(int) + 2 - first).tolist()
    stamp = np.zeros((rows, columns), np.uint8)
    # OpenCV's pixel centres are at integers, a cell's middle at a half
    corners = np.rint((points - first - 0.5)[prop.faces] * 16).astype(np.int32)
    for triangle in corners:
        cv2.fillConvexPoly(stamp, triangle, 1, cv2.LINE_8, 4)
    return cv2.dilate(stamp, np.ones((3, 3), np.uint8)), first
