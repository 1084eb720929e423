"""Stage 2 alone: objects whose last pose is known are found again in the next image, without a detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.inference.estimator import LARGEST_PX, PoseEstimate, PoseEstimator
from mrc_core.inference.kept_render import Box, KeptRender
from mrc_core.model.pyramid import Pyramid
from mrc_core.model.two_stage import Crops, Refinement, TwoStage

Array = NDArray[np.float64]

LEAST_INSIDE = 0.25
"""Share of an object's box that must lie in the image; with less it has left."""
NEAREST_M = 1e-3
"""Points nearer to the camera's plane than this have no pixel."""


@dataclass(frozen=True)
class Followed:
    """An object as it was last seen, and what its last render gave.

    ``estimate.detection`` has the box that the crop was made around: the projected mesh's, in image pixels. Its score
    is 0, for no detector saw it.
    """

    estimate: PoseEstimate
    kept: KeptRender | None = None


@dataclass(frozen=True)
class _Start:
    """Where stage 2 begins: a pose (4, 4) in the network's frame and the box to crop around; ``kept`` if it holds."""

    place: tuple[int, int]  # of the object among the given ones: frame, number
    estimate: PoseEstimate
    cam_from_object: Array
    kept: KeptRender | None


class PoseFollower:
    """Follows objects from image to image by rendering, correlating and regressing.

    Args:
        estimator: whose second stage is used; one caller at a time for both.
        keep_renders: features of a render are used again while the object hardly turns (`KeptRender`).
    """

    def __init__(self, estimator: PoseEstimator, keep_renders: bool = True) -> None:
        self._estimator, self._keep_renders = estimator, keep_renders
        objects = estimator.bundle.objects
        self._points = {o.class_id: (o.points.double() + o.centre).numpy() for o in objects}
        inverse = np.linalg.inv(estimator.bundle.network_from_obj().double().numpy())
        self._obj_from_network = dict(zip(estimator.class_ids, inverse))
        self.renders = self.reuses = 0
        """How many objects were rendered, and for how many a kept render served."""

    def follow(
        self, image_rgb_uint8: np.ndarray, K: np.ndarray, known: Sequence[Followed], rounds: int = 1
    ) -> list[Followed | None]:
        """`follow_batch` for one frame."""
        return self.follow_batch([(image_rgb_uint8, K, known)], rounds)[0]

    @torch.inference_mode()
    def follow_batch(
        self, frames: Sequence[tuple[np.ndarray, np.ndarray, Sequence[Followed]]], rounds: int = 1
    ) -> list[list[Followed | None]]:
        """Each object where it is in the next image, in the same order; None where it has left the image.

        Of a calibrated bundle the scores say whether the poses are right now; else they stay as they were given.

        Args:
            frames: of each the image (H, W, 3) uint8 RGB, its K (3, 3) and what is followed in it.
            rounds: how often stage 2 runs, each time from what it said before; all but the first render anew.

        Raises:
            ValueError: an unknown class, a bad image or K.
        """
        found: list[list[Followed | None]] = [[None] * len(known) for _, _, known in frames]
        starts = [self._starts(i, image, K, known) for i, (image, K, known) in enumerate(frames)]
        crops = self._estimator.crop(
            [(image, K, [s.estimate.detection for s in own]) for (image, K, _), own in zip(frames, starts)]
        )
        if crops is None:
            return found
        rows = [start for own in starts for start in own]
        two_stage = self._estimator.two_stage
        real = two_stage.encode(crops)
        coarse = torch.from_numpy(np.stack([s.cam_from_object for s in rows])).to(crops.K)
        matrices = [np.asarray(K, dtype=np.float64) for _, K, _ in frames]
        renders = self._renders(rows, crops, coarse, matrices)
        output = _compared(two_stage, crops, real, coarse, renders)
        for _ in range(rounds - 1):
            moved = output.pose.double().cpu().numpy()
            rows = [replace(row, cam_from_object=pose, kept=None) for row, pose in zip(rows, moved)]
            renders = self._renders(rows, crops, output.pose, matrices)
            output = _compared(two_stage, crops, real, output.pose, renders)
        judged = self._estimator.judged([s.estimate for s in rows], crops.object_index, real.mask_logit, output)
        for start, estimate, kept in zip(rows, judged, renders):
            frame, number = start.place
            found[frame][number] = Followed(estimate, kept if self._keep_renders else None)
        return found

    def box(self, class_id: str, cam_from_obj: Array, K: Array) -> Box | None:
        """The box [px] around the mesh's points at a pose (4, 4) of the mesh's frame; None where one is not before
        the camera."""
        points = self._points[class_id] @ cam_from_obj[:3, :3].T + cam_from_obj[:3, 3]
        if not np.isfinite(points).all() or points[:, 2].min() < NEAREST_M:
            return None
        seen = points @ K.T
        pixels = seen[:, :2] / seen[:, 2:]
        (x0, y0), (x1, y1) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
        return x0, y0, x1, y1

    def _starts(self, frame: int, image: np.ndarray, K: np.ndarray, known: Sequence[Followed]) -> list[_Start]:
        matrix, size = np.asarray(K, dtype=np.float64), (image.shape[0], image.shape[1])
        starts = []
        for number, one in enumerate(known):
            estimate, kept = one.estimate, one.kept
            if estimate.class_id not in self._points:
                raise ValueError(f"class {estimate.class_id!r} is not in the bundle")
            pose = estimate.cam_from_obj @ self._obj_from_network[estimate.class_id]
            box = self.box(estimate.class_id, estimate.cam_from_obj, matrix)
            carried = kept.carried_to(pose, matrix) if kept is not None else None
            if carried is not None:
                pose, box = carried
            if box is None or not is_inside(box, size):
                continue
            seen = replace(estimate.detection, box_xyxy_px=box, score=0.0)
            starts.append(
                _Start((frame, number), replace(estimate, detection=seen), pose, kept if carried else None)
            )
        return starts

    def _renders(
        self, rows: Sequence[_Start], crops: Crops, coarse: torch.Tensor, matrices: Sequence[Array]
    ) -> list[KeptRender]:
        """Of each row the render that shows its pose in its crop: the kept one, or a new one."""
        new = [i for i, start in enumerate(rows) if start.kept is None]
        self.renders, self.reuses = self.renders + len(new), self.reuses + len(rows) - len(new)
        renders = {i: start.kept for i, start in enumerate(rows) if start.kept is not None}
        if new:
            wanted = torch.tensor(new, device=coarse.device)
            features, masks = self._estimator.two_stage.encode_rendered(coarse[wanted], crops.take(wanted))
            for row, i in enumerate(new):
                start = rows[i]
                renders[i] = KeptRender(
                    start.cam_from_object,
                    matrices[start.place[0]],
                    start.estimate.detection.box_xyxy_px,
                    features.take(wanted.new_tensor([row])),
                    masks[row : row + 1],
                )
        return [renders[i] for i in range(len(rows))]


def is_inside(box_xyxy_px: Box, size: tuple[int, int]) -> bool:
    """Whether enough of a box lies in an image of (height, width), and the network can have a crop of it."""
    x0, y0, x1, y1 = box_xyxy_px
    wide, high = min(x1, size[1]) - max(x0, 0.0), min(y1, size[0]) - max(y0, 0.0)
    if max(abs(v) for v in box_xyxy_px) >= LARGEST_PX or min(x1 - x0, y1 - y0) < 1.0:
        return False
    return wide > 0 and high > 0 and wide * high >= LEAST_INSIDE * (x1 - x0) * (y1 - y0)


def _compared(
    two_stage: TwoStage, crops: Crops, real: Pyramid, coarse: torch.Tensor, renders: Sequence[KeptRender]
) -> Refinement:
    features = _joined([kept.features for kept in renders])
    return two_stage.compare(crops, real, coarse, features, torch.cat([kept.mask for kept in renders]))


def _joined(pyramids: Sequence[Pyramid]) -> Pyramid:
    """One batch of pyramids of one row each."""
    return Pyramid(**{name: torch.cat([getattr(p, name) for p in pyramids]) for name in vars(pyramids[0])})
