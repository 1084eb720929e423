"""One row for each instance that was to be found: its estimate, every error, and what may explain them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.bop_objects import BopObject
from mrc_core.evaluation.matching import match_without_limit
from mrc_core.evaluation.summary import Summary
from mrc_core.evaluation.target_errors import ADD_THRESHOLD, TargetErrors
from mrc_core.geometry.rotations import rotation_angle
from mrc_core.geometry.symmetries import second_moment

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """An instance and the estimate that MSSD gives it (see `match`), if one is left for it. Lengths are metres.

    Attributes:
        gt, est: (4, 4) cam_from_obj; est None where nothing was estimated.
        mssd, add, add_s: metres, mspd: px at 640 px width, inf without an estimate.
        vsd: mean over the tolerances, None where it was not computed.
        rotation_rad, translation_m: from the nearest pose that is equivalent to the truth; inf without an estimate.
        turn: (3,) that rotation as axis times angle, in the object's frame: est = gt * turn.
        direction: (3,) unit vector from the object to the camera, in the object's frame: what side is seen.
        is_right: ADD (ADD-S for the symmetric objects of the first list) is below 0.1 diameters.
        model_gap: see `TargetErrors`, NaN where unknown.
    """

    scene_id: int
    image_id: int
    obj_id: int
    name: str
    gt_id: int
    diameter: float
    visible: float
    gt: Array
    est: Array | None
    score: float
    time_s: float
    mssd: float
    mspd: float
    add: float
    add_s: float
    vsd: float | None
    rotation_rad: float
    translation_m: float
    turn: Array
    direction: Array
    is_right: bool
    model_gap: float

    @property
    def distance_m(self) -> float:
        """From the camera to the object's origin."""
        return float(np.linalg.norm(self.gt[:3, 3]))


def instances(summary: Summary) -> list[Instance]:
    """All instances that were to be found, in the order of scenes, images, objects and visibility."""
    objects = summary.evaluation.objects
    symmetric = next(iter(summary.symmetric.values()))
    moments: dict[int, torch.Tensor] = {}
    out: list[Instance] = []
    for one in summary.evaluation.targets:
        if not one.count:
            continue
        if one.obj_id not in moments:
            moments[one.obj_id] = second_moment(torch.from_numpy(objects[one.obj_id].points))
        out += _of_target(one, objects[one.obj_id], moments[one.obj_id], one.obj_id in symmetric)
    return out


def _of_target(one: TargetErrors, item: BopObject, moment: torch.Tensor, is_symmetric: bool) -> list[Instance]:
    e, g = one.counted_estimates, one.counted_truths
    taken = match_without_limit(one.mssd[:e, :g])
    estimate_of = {int(truth): row for row, truth in enumerate(taken) if truth >= 0}
    out = []
    for truth in range(g):
        row = estimate_of.get(truth)
        gt = one.gt[truth]
        to_camera = -gt[:3, :3].T @ gt[:3, 3]
        est = None if row is None else one.est[row]
        angle, shift, turn = _residual(est, gt, item, moment)
        errors = {
            key: math.inf if row is None else float(getattr(one, key)[row, truth])
            for key in ("mssd", "mspd", "add", "add_s")
        }
        vsd = None if one.vsd is None else 1.0 if row is None else float(one.vsd[row, truth].mean())
        judged = errors["add_s"] if is_symmetric else errors["add"]
        out.append(
            Instance(
                scene_id=one.scene_id,
                image_id=one.image_id,
                obj_id=one.obj_id,
                name=item.name,
                gt_id=int(one.gt_id[truth]),
                diameter=one.diameter,
                visible=float(one.visible[truth]),
                gt=gt,
                est=est,
                score=math.nan if row is None else float(one.score[row]),
                time_s=-1.0 if row is None else float(one.time_s[row]),
                **errors,
                vsd=vsd,
                rotation_rad=angle,
                translation_m=shift,
                turn=turn,
                direction=to_camera / max(float(np.linalg.norm(to_camera)), 1e-12),
                is_right=judged < ADD_THRESHOLD * one.diameter,
                model_gap=math.nan if one.model_gap is None else float(one.model_gap[truth]),
            )
        )
    return out


def _residual(
    est: Array | None, gt: Array, item: BopObject, moment: torch.Tensor
) -> tuple[float, float, Array]:
    """Angle, shift and turn (axis times angle, object's frame) from the nearest pose equivalent to the truth."""
    if est is None or not np.isfinite(est).all():
        return math.inf, math.inf, np.full(3, np.nan)
    given = torch.from_numpy(est)[None]
    nearest = item.symmetries.nearest_pose(torch.from_numpy(gt)[None], given, moment)
    angle = float(rotation_angle(given[:, :3, :3], nearest[:, :3, :3]))
    shift = float((given[:, :3, 3] - nearest[:, :3, 3]).norm())
    turn = Rotation.from_matrix((nearest[0, :3, :3].T @ given[0, :3, :3]).numpy()).as_rotvec()
    return angle, shift, turn


COLUMNS = [
    *("scene_id", "im_id", "obj_id", "name", "gt_id"),
    *("visib_fract", "distance_m", "diameter_m", "score", "time_s"),
    *("mssd_m", "mspd_px", "add_m", "add_s_m", "vsd"),
    *("rotation_deg", "translation_m", "turn_x_deg", "turn_y_deg", "turn_z_deg", "view_x", "view_y", "view_z"),
    *("is_right", "model_gap_m"),
]


def write_instances_csv(path: Path, rows: Sequence[Instance]) -> None:
    """Every instance with all its errors, one a line; empty cells are unknown, `inf` is a missing estimate."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in rows:
        ids = [one.scene_id, one.image_id, one.obj_id, one.name, one.gt_id]
        numbers = [one.visible, one.distance_m, one.diameter, one.score, one.time_s]
        numbers += [one.mssd, one.mspd, one.add, one.add_s, math.nan if one.vsd is None else one.vsd]
        numbers += [math.degrees(one.rotation_rad), one.translation_m, *np.degrees(one.turn), *one.direction]
        table.writerow([*ids, *map(_cell, numbers), int(one.is_right), _cell(one.model_gap)])
    write_bytes(path, text.getvalue().encode("utf-8"))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
