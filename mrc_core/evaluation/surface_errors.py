"""VSD of a scene's targets: both poses rendered in a window around them, compared with the depth picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_files import BopDataError
from mrc_core.evaluation.pose_errors import hull_points
from mrc_core.evaluation.target_errors import VSD_TAUS, TargetErrors
from mrc_core.evaluation.visible_surface import ray_lengths, vsd
from mrc_core.geometry.mesh import Mesh

Array = NDArray[np.float64]
Depth = NDArray[np.float32]
Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the image; x1 and y1 are one beyond the last
WINDOW_STEP = 32  # windows are made larger to multiples of it, so that many can be rendered together
BATCH_PIXELS = 2**20  # of the windows of one batch
NEAR_M = 1e-3


class DepthRenderer(Protocol):
    """What is needed of a `Renderer`."""

    device: torch.device

    def render(self, object_index: Tensor, cam_from_obj: Tensor, K: Tensor, size: tuple[int, int]) -> Any:
        """Gives something with `depth_m` (B, H, W)."""
        ...


MakeRenderer = Callable[[Sequence[Mesh]], DepthRenderer]


@dataclass(frozen=True)
class _Job:
    """One pair to render: estimate e and ground truth g of a target."""

    target: int
    e: int
    g: int
    window: Window


class SurfaceErrors:
    """Computes VSD.

    Args:
        dataset: gives depth pictures and models.
        make_renderer: of the models of all objects that `obj_ids` names.
        delta_m: tolerance of the visibility test.
    """

    def __init__(
        self, dataset: BopDataset, obj_ids: Sequence[int], make_renderer: MakeRenderer, delta_m: float
    ) -> None:
        self._dataset, self._delta = dataset, delta_m
        self._index = {obj_id: i for i, obj_id in enumerate(obj_ids)}
        self._renderer = make_renderer([dataset.objects[obj_id].mesh for obj_id in obj_ids])
        self._corners = {i: hull_points(torch.from_numpy(dataset.objects[i].points)).numpy() for i in obj_ids}

    def of_scene(self, targets: Sequence[TargetErrors]) -> tuple[list[TargetErrors], list[str]]:
        """The same targets with VSD and model gap, and what was wrong with depth pictures (their targets have none)."""
        problems: list[str] = []
        values: dict[int, tuple[Array, Array]] = {}
        jobs: dict[tuple[int, int], list[tuple[_Job, Depth]]] = defaultdict(list)  # by size: with the depth seen
        by_image: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, one in enumerate(targets):
            if one.count:
                by_image[one.scene_id, one.image_id].append(i)
        for (scene_id, image_id), mine in by_image.items():
            try:
                depth = self._dataset.depth_m(scene_id, image_id)
            except BopDataError as error:
                number = sum(targets[i].count for i in mine)
                problems.append(f"{error}: VSD leaves the {number} instances of this image out")
                continue
            for i in mine:
                one = targets[i]
                shape = (one.counted_estimates, one.counted_truths)
                values[i] = (np.ones((*shape, len(VSD_TAUS))), np.full(shape[1], np.nan))
                for job in self._jobs(i, one, depth.shape):
                    size = _padded_size(job.window)
                    jobs[size].append((job, _cut(depth, job.window, size)))
                    if len(jobs[size]) * size[0] * size[1] >= BATCH_PIXELS:
                        self._run(targets, jobs.pop(size), size, values)
        for size, left in jobs.items():
            self._run(targets, left, size, values)
        return [
            replace(one, vsd=values[i][0], model_gap=values[i][1]) if i in values else one
            for i, one in enumerate(targets)
        ], problems

    def _jobs(self, number: int, one: TargetErrors, shape: tuple[int, ...]) -> list[_Job]:
        """Pairs whose silhouettes may meet. Of the others no pixel is in both: their VSD is 1 without looking."""
        K = self._dataset.images(one.scene_id)[one.image_id].K
        corners = self._corners[one.obj_id]
        est = [window_of(K, pose, corners, shape) for pose in one.est[: one.counted_estimates]]
        gt = [window_of(K, pose, corners, shape) for pose in one.gt[: one.counted_truths]]
        out = []
        for (e, a), (g, b) in product(enumerate(est), enumerate(gt)):
            if a is None or b is None:
                continue
            if max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3]):
                both = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                out.append(_Job(number, e, g, both))
        return out

    def _run(
        self,
        targets: Sequence[TargetErrors],
        jobs: list[tuple[_Job, Depth]],
        size: tuple[int, int],
        values: dict[int, tuple[Array, Array]],
    ) -> None:
        mine = [(job, targets[job.target]) for job, _ in jobs]
        cameras = [self._window_camera(one, job.window) for job, one in mine]
        poses = [one.est[job.e] for job, one in mine] + [one.gt[job.g] for job, one in mine]
        index = torch.tensor([self._index[one.obj_id] for _, one in mine])
        device = self._renderer.device
        K = torch.from_numpy(np.stack(cameras)).float().to(device)
        rendered = self._renderer.render(
            index.repeat(2).to(device), torch.from_numpy(np.stack(poses)).float().to(device), K.repeat(2, 1, 1), size
        ).depth_m
        inside = torch.from_numpy(np.stack([_inside(job.window, size) for job, _ in jobs])).to(device)
        est, gt = (part * inside for part in rendered.chunk(2))
        test = torch.from_numpy(np.stack([depth for _, depth in jobs])).to(device)
        diameter = torch.tensor([one.diameter for _, one in mine], device=device)
        errors = vsd(est, gt, test, K, diameter, self._delta, VSD_TAUS).double().cpu().numpy()
        gaps = _model_gaps(gt, test, K, self._delta).double().cpu().numpy()
        for (job, _), error, gap in zip(jobs, errors, gaps):
            values[job.target][0][job.e, job.g] = error
            values[job.target][1][job.g] = gap

    def _window_camera(self, one: TargetErrors, window: Window) -> Array:
        shift = np.array([[1.0, 0, -window[0]], [0, 1, -window[1]], [0, 0, 1]])
        return shift @ self._dataset.images(one.scene_id)[one.image_id].K


def window_of(K: Array, cam_from_obj: Array, corners: Array, shape: tuple[int, ...]) -> Window | None:
    """The pixels that an object may cover, inside of an image of shape (H, W); None where there are none.

    The whole image where a part of the object is behind the near plane: its outline has no bounds then.
    """
    if not np.isfinite(cam_from_obj).all():
        return None
    height, width = shape[:2]
    points = corners @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
    depth = points[:, 2]
    if depth.max() <= NEAR_M:
        return None
    if depth.min() <= NEAR_M:
        return (0, 0, width, height)
    pixels = points @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    low = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 2, 0, (width, height)).astype(int)
    if (high <= low).any():
        return None
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def _padded_size(window: Window) -> tuple[int, int]:
    """(H, W) of a window, made larger to multiples of WINDOW_STEP."""
    x0, y0, x1, y1 = window
    return -(-(y1 - y0) // WINDOW_STEP) * WINDOW_STEP, -(-(x1 - x0) // WINDOW_STEP) * WINDOW_STEP


def _cut(depth: Depth, window: Window, size: tuple[int, int]) -> Depth:
    x0, y0, x1, y1 = window
    out = np.zeros(size, dtype=np.float32)
    out[: y1 - y0, : x1 - x0] = depth[y0:y1, x0:x1]
    return out


def _inside(window: Window, size: tuple[int, int]) -> Depth:
    """1 where the padded window shows the image, 0 where it is padding, which must not count."""
    x0, y0, x1, y1 = window
    out = np.zeros(size, dtype=np.float32)
    out[: y1 - y0, : x1 - x0] = 1
    return out


def _model_gaps(depth_gt: Tensor, depth_test: Tensor, K: Tensor, delta: float) -> Tensor:
    """See `TargetErrors.model_gap`: (B,), NaN where no visible pixel has a depth."""
    length = ray_lengths(K, *depth_gt.shape[1:])
    gt, test = depth_gt * length, depth_test * length
    seen = (gt > 0) & (test > 0) & (gt - test <= delta)
    gap = ((gt - test).abs().clamp(max=2 * delta) * seen).sum(dim=(1, 2))
    return gap / seen.sum(dim=(1, 2))
