"""Which instances a report shows: the best, the median and the worst, and failures by their cause.

All choices are deterministic: equals stand in the order of scenes, images, objects and places in the image.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from mrc_core.evaluation.instances import Instance

OCCLUDED_BELOW = 0.5  # visible part
FLIP_FROM_DEG = 60.0
SAME_PLACE_WITHIN = 0.1  # diameters
GAP_OF_DELTA = (
    0.5  # a model is called inexact if the depth picture is further off it than this part of VSD's delta
)

# In the order of precedence: the first rule that holds names the cause.
CAUSES = ("missed", "occlusion", "flip", "inexact model", "other")


def relative_error(one: Instance) -> float:
    """MSSD in diameters."""
    return one.mssd / one.diameter


def identity(one: Instance) -> tuple[int, int, int, int]:
    """Scene, image, object and place in the image: what an instance is known by."""
    return one.scene_id, one.image_id, one.obj_id, one.gt_id


def best_median_worst(rows: Sequence[Instance], count: int) -> dict[str, list[Instance]]:
    """Up to `count` instances of each kind, by MSSD over diameter among those with an estimate.

    No instance is named twice: where there are fewer than 3 `count`, each kind gets a third of them. The worst stand
    first among the worst.
    """
    ranked = sorted(
        (one for one in rows if one.est is not None), key=lambda one: (relative_error(one), identity(one))
    )
    size = min(count, math.ceil(len(ranked) / 3))
    best, rest = ranked[:size], ranked[size:]
    worst = rest[::-1][:size]
    rest = rest[: len(rest) - len(worst)]
    size = min(size, len(rest))
    first = min(max((len(ranked) - size) // 2 - len(best), 0), len(rest) - size)
    return {"best": best, "median": rest[first : first + size], "worst": worst}


def cause(one: Instance, gap_limit_m: float) -> str | None:
    """Why an instance is wrong, one of CAUSES; None where it is right.

    - missed: there is no estimate for it.
    - occlusion: less than half of its silhouette is visible.
    - flip: turned by more than 60 degrees from the nearest pose equivalent to the truth, yet in the right place: its
      origin is within 0.1 diameters, or its surface is (ADD-S below 0.1 diameters).
    - inexact model: at the true pose the depth picture is further than `gap_limit_m` from the model's surface (mean
      over visible pixels), so that model, truth or depth is at fault.
    - other: none of these.

    Occlusion stands before flip: half hidden, what tells two sides apart is often what is hidden.
    """
    if one.is_right:
        return None
    if one.est is None:
        return "missed"
    if one.visible < OCCLUDED_BELOW:
        return "occlusion"
    place = min(one.translation_m, one.add_s) / one.diameter
    if math.degrees(one.rotation_rad) > FLIP_FROM_DEG and place < SAME_PLACE_WITHIN:
        return "flip"
    if one.model_gap > gap_limit_m:  # never so where it is NaN
        return "inexact model"
    return "other"


def failures(rows: Iterable[Instance], gap_limit_m: float) -> dict[str, list[Instance]]:
    """All wrong instances by cause (every one of CAUSES is there), most visible first."""
    out: dict[str, list[Instance]] = {name: [] for name in CAUSES}
    for one in sorted(rows, key=lambda one: (-one.visible, identity(one))):
        name = cause(one, gap_limit_m)
        if name is not None:
            out[name].append(one)
    return out


def take_turns(rows: Sequence[Instance], count: int) -> list[Instance]:
    """The first `count` rows if objects take turns, so that one object does not fill a gallery."""
    queues: dict[int, list[Instance]] = defaultdict(list)
    for one in rows:
        queues[one.obj_id].append(one)
    longest = max((len(queue) for queue in queues.values()), default=0)
    turns = [queue[i] for i in range(longest) for queue in queues.values() if i < len(queue)]
    return turns[:count]


def spread_images(rows: Sequence[Instance], count: int) -> list[list[Instance]]:
    """Up to `count` images, each as its instances, at even steps from the best to the worst: by the share of right
    instances, then by the mean of MSSD over diameter (at most 1 each). Images with few instances show little: only
    those with at least the median number take part."""
    by_image: dict[tuple[int, int], list[Instance]] = defaultdict(list)
    for one in rows:
        by_image[one.scene_id, one.image_id].append(one)

    def badness(mine: list[Instance]) -> tuple[float, float, tuple[int, int, int, int]]:
        right = sum(one.is_right for one in mine) / len(mine)
        return -right, sum(min(relative_error(one), 1.0) for one in mine) / len(mine), identity(mine[0])

    usual = median(map(len, by_image.values())) if by_image else 0
    ranked = sorted((mine for mine in by_image.values() if len(mine) >= usual), key=badness)
    if len(ranked) <= count:
        return ranked
    return [ranked[round(i * (len(ranked) - 1) / max(count - 1, 1))] for i in range(count)]
