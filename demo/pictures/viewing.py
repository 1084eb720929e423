"""Where a picture is taken from: cameras that see the objects of ours well enough, and partly hidden ones often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recording.trajectory import look_at

from .truth import Observer

Array = NDArray[np.float64]
ROUNDS, CAMERAS_A_ROUND = 6, 6
ELEVATION_DEG = (11.0, 66.0)  # of the camera above the table; low ones hide more
ROLL_DEG = 9.0
APPARENT_PX = (95.0, 265.0)  # size of an object on a picture that is 640 px wide
OBJECT_M = 0.245  # about the diameter of each of the four
NEAREST_M = 0.16  # nothing on the table comes nearer to the camera
LEAST_VISIBLE = 0.3
PARTLY = (0.3, 0.9)


@dataclass(frozen=True)
class Space:
    """What a camera may not leave or enter: it stays within +-x, +-y, below z, and away from `points` (N, 3)."""

    reach: tuple[float, float, float]
    points: Array


def draw_view(
    observer: Observer, K: Array, size: tuple[int, int], space: Space, rng: np.random.Generator
) -> Array:
    """cam_from_world (4, 4) of a camera that looks at the objects of `observer`.

    Of up to ROUNDS * CAMERAS_A_ROUND cameras, the first that sees each object to LEAST_VISIBLE; in most pictures one
    of them at least has to be partly hidden. Where no camera does, the one that fails least.
    """
    middles = np.array([observer.things[row].points.mean(axis=0) for row in observer.objects])
    wants_hidden = rng.random() < 0.85
    best, least = None, np.inf
    for _ in range(ROUNDS):
        views = np.array([_draw_camera(middles, K, size, space, rng) for _ in range(CAMERAS_A_ROUND)])
        seen = observer.visible_fractions(K, size, views)
        partly = ((seen > PARTLY[0]) & (seen < PARTLY[1])).any(axis=1)
        faults = np.maximum(LEAST_VISIBLE - seen, 0).sum(axis=1) + 0.1 * (wants_hidden & ~partly)
        first = int(np.argmin(faults))
        if faults[first] < least:
            best, least = views[first], faults[first]
        if least <= 0:
            break
    assert best is not None
    return best


def _draw_camera(
    middles: Array, K: Array, size: tuple[int, int], space: Space, rng: np.random.Generator
) -> Array:
    """cam_from_world (4, 4) of one camera in its space, whatever it sees."""
    low, high = np.sin(np.radians(ELEVATION_DEG))
    for _ in range(200):
        chosen = middles[rng.integers(len(middles))]
        target = chosen + rng.uniform(0.3, 1.0) * (middles.mean(axis=0) - chosen) + rng.normal(0, 0.02, 3)
        apparent = np.exp(rng.uniform(*np.log(APPARENT_PX))) * size[1] / 640
        distance = K[0, 0] * OBJECT_M / apparent
        rise, azimuth = np.arcsin(rng.uniform(low, high)), rng.uniform(0, 2 * np.pi)
        way = np.array([np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise)])
        eye = target + distance * way
        inside = (np.abs(eye[:2]) < space.reach[:2]).all() and 0.05 < eye[2] < space.reach[2]
        if inside and np.linalg.norm(space.points - eye, axis=1).min() > NEAREST_M:
            return look_at(eye, target, np.radians(rng.uniform(-ROLL_DEG, ROLL_DEG)))
    raise ValueError("no camera fits into the place: it is too small for this lens")
