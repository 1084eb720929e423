"""Errors on points of a scene's pairings: all pairs of an object at once, then back to their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_objects import BopObject
from mrc_core.evaluation.area_under_curve import LIMIT_M
from mrc_core.evaluation.pairing import Pairing, poses_of
from mrc_core.evaluation.pose_errors import add, add_s, hull_points, mspd, mssd
from mrc_core.evaluation.target_errors import ADD_THRESHOLD, TargetErrors
from mrc_core.geometry.rotations import transform_points

Array = NDArray[np.float64]
REFERENCE_WIDTH_PX = 640.0  # MSPD is scaled to images of this width


class PointErrors:
    """Computes ADD, ADD-S, MSSD and MSPD of a data set's objects. Points, hulls and symmetries are kept between calls.

    Args:
        dataset: gives the objects and the images' sizes.
        device: cpu or cuda.
    """

    def __init__(self, dataset: BopDataset, device: str = "cpu") -> None:
        self._dataset, self._device = dataset, torch.device(device)
        self._models: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        self._widths: dict[tuple[int, int], int] = {}

    def of_scene(self, pairings: Sequence[Pairing]) -> list[TargetErrors]:
        """Errors of every pairing of a scene, without VSD."""
        filled: dict[int, dict[str, Array]] = {i: {} for i in range(len(pairings))}
        for obj_id in sorted({one.obj_id for one in pairings}):
            mine = [i for i, one in enumerate(pairings) if one.obj_id == obj_id]
            for i, arrays in zip(mine, self._of_object(obj_id, [pairings[i] for i in mine])):
                filled[i] = arrays
        return [self._target(one, filled[i]) for i, one in enumerate(pairings)]

    def _of_object(self, obj_id: int, pairings: Sequence[Pairing]) -> list[dict[str, Array]]:
        points, corners, symmetries = self._model(self._dataset.objects[obj_id])
        everything = [(len(one.estimates), len(one.truths)) for one in pairings]
        counted = [(min(one.count, e), min(one.count, g)) for one, (e, g) in zip(pairings, everything)]
        cameras = np.repeat(
            np.stack([self._scaled_camera(one) for one in pairings]), [e * g for e, g in everything], axis=0
        )
        K = torch.from_numpy(cameras).to(self._device)
        limit = max(LIMIT_M, ADD_THRESHOLD * self._dataset.objects[obj_id].diameter)
        all_of: Callable[..., list[Array]] = lambda error, sizes: self._split(  # noqa: E731
            error(*self._pairs(pairings, sizes)), sizes
        )
        columns = {
            "mssd": all_of(lambda est, gt: mssd(est, gt, corners, symmetries), everything),
            "mspd": all_of(lambda est, gt: mspd(est, gt, points, symmetries, K), everything),
            "add": all_of(lambda est, gt: add(est, gt, points), counted),
            "add_s": all_of(lambda est, gt: _add_s_within(est, gt, points, corners, limit), counted),
        }
        return [{key: values[i] for key, values in columns.items()} for i in range(len(pairings))]

    def _model(self, item: BopObject) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if item.obj_id not in self._models:
            points = torch.from_numpy(item.points).to(self._device)
            self._models[item.obj_id] = (points, hull_points(points), item.symmetries.transforms().to(self._device))
        return self._models[item.obj_id]

    def _scaled_camera(self, one: Pairing) -> Array:
        """K (3, 3) of the image as if it were 640 px wide: projections differ by MSPD in the benchmark's unit."""
        image = (one.image.scene_id, one.image.image_id)
        if image not in self._widths:
            self._widths[image] = self._dataset.image_size(*image)[0]
        scale = REFERENCE_WIDTH_PX / self._widths[image]
        return np.diag([scale, scale, 1.0]) @ one.image.K

    def _pairs(
        self, pairings: Sequence[Pairing], sizes: Sequence[tuple[int, int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses (P, 4, 4) of all pairs, of each pairing's first e estimates and g ground truths, row by row."""
        est = [np.repeat(poses_of(one.estimates[:e]), g, axis=0) for one, (e, g) in zip(pairings, sizes)]
        gt = [np.tile(poses_of(one.truths[:g]), (e, 1, 1)) for one, (e, g) in zip(pairings, sizes)]
        return (
            torch.from_numpy(np.concatenate(est)).to(self._device),
            torch.from_numpy(np.concatenate(gt)).to(self._device),
        )

    @staticmethod
    def _split(errors: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list[Array]:
        """Errors (P,) as one (e, g) array for each pairing."""
        ends = np.cumsum([e * g for e, g in sizes])[:-1]
        return [part.reshape(size) for part, size in zip(np.split(errors.cpu().numpy(), ends), sizes)]

    def _target(self, one: Pairing, arrays: dict[str, Array]) -> TargetErrors:
        return make_target(one, self._dataset.objects[one.obj_id].diameter, arrays)


def _add_s_within(
    est: torch.Tensor, gt: torch.Tensor, points: torch.Tensor, corners: torch.Tensor, limit: float
) -> torch.Tensor:
    """ADD-S (P,), inf for pairs that are certainly farther apart than `limit`: no score asks how far, and looking for
    the nearest points of another instance's pose takes longest.

    Along any direction u a true point is at least u . (P_gt x) - max over y of u . (P_est y) from every estimated one;
    so is the mean, with the points' mean for x.
    """
    middle = points.mean(dim=0)
    gap = transform_points(gt, middle[None]) - transform_points(est, middle[None])  # (P, 1, 3)
    along = torch.nn.functional.normalize(gap, dim=-1)
    reach = ((transform_points(est, corners) - transform_points(est, middle[None])) * along).sum(dim=-1).amax(dim=-1)
    near = ~(gap.norm(dim=-1).squeeze(1) - reach > limit)
    out = torch.full_like(reach, torch.inf)
    out[near] = add_s(est[near], gt[near], points)
    return out


def make_target(one: Pairing, diameter: float, arrays: Mapping[str, Array]) -> TargetErrors:
    """A pairing's facts together with its errors."""
    return TargetErrors(
        scene_id=one.image.scene_id,
        image_id=one.image.image_id,
        obj_id=one.obj_id,
        count=one.count,
        diameter=diameter,
        score=np.array([row.score for row in one.estimates], dtype=np.float64),
        time_s=np.array([row.time_s for row in one.estimates], dtype=np.float64),
        est=poses_of(one.estimates),
        gt=poses_of(one.truths),
        visible=np.array([truth.visib_fract for truth in one.truths], dtype=np.float64),
        gt_id=np.array([truth.gt_id for truth in one.truths], dtype=np.int64),
        detected=np.array(one.detected, dtype=bool),
        **arrays,
    )
