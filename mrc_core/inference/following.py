"""Stage 2 alone: objects whose last pose is known are found again in the next image, without a detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mrc_core.inference.estimator import LARGEST_PX, Picture, PoseEstimate, PoseEstimator
from mrc_core.inference.kept_render import Box, KeptRender
from mrc_core.model.pyramid import Pyramid
from mrc_core.model.two_stage import Crops, Refinement

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
    K: Array  # of the image
    kept: KeptRender | None
    rounds: int  # of stage 2 that it shall have


@dataclass(frozen=True)
class _Batch:
    """Objects before one round of stage 2.

    crops, real: of B rows, and their features. coarse: (B, 4, 4), the poses that the round begins from.
    kept: of each row the render that shows this pose, None where it is to be rendered.
    """

    starts: Sequence[_Start]
    crops: Crops
    real: Pyramid
    coarse: torch.Tensor
    kept: Sequence[KeptRender | None]

    def take(self, rows: Sequence[int]) -> _Batch:
        """Some rows (N,); all of them are not copied."""
        if len(rows) == len(self.starts):
            return self
        starts, kept = [self.starts[i] for i in rows], [self.kept[i] for i in rows]
        wanted = torch.tensor(rows, dtype=torch.long, device=self.coarse.device)
        return _Batch(starts, self.crops.take(wanted), self.real.take(wanted), self.coarse[wanted], kept)

    def moved_to(self, pose: torch.Tensor) -> _Batch:
        """The same objects at the poses (B, 4, 4) that the last round said: no render shows them."""
        return replace(self, coarse=pose, kept=[None] * len(self.starts))


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
        self, image_rgb_uint8: Picture, K: np.ndarray, known: Sequence[Followed], rounds: int | None = None
    ) -> list[Followed | None]:
        """`follow_batch` for one frame."""
        return self.follow_batch([(image_rgb_uint8, K, known)], rounds)[0]

    @torch.inference_mode()
    def follow_batch(
        self, frames: Sequence[tuple[Picture, np.ndarray, Sequence[Followed]]], rounds: int | None = None
    ) -> list[list[Followed | None]]:
        """Each object where it is in the next image, in the same order; None where it has left the image.

        Of a calibrated bundle the scores say whether the poses are right now; else they stay as they were given.

        Args:
            frames: of each the image and its K (3, 3), as for `PoseEstimator.estimate`, and what is followed in it.
            rounds: how often stage 2 runs for each object, each time from what it said before; all but the first
                render anew. None: once where a kept render serves again, else as often as for a detected pose.

        Raises:
            ValueError: an unknown class, a bad image or K, no round.
        """
        if rounds is not None and rounds < 1:
            raise ValueError(f"rounds must be 1 or more, or None, not {rounds}")
        found: list[list[Followed | None]] = [[None] * len(known) for _, _, known in frames]
        starts = [self._starts(i, image, K, known, rounds) for i, (image, K, known) in enumerate(frames)]
        crops = self._estimator.crop(
            [(image, K, [s.estimate.detection for s in own]) for (image, K, _), own in zip(frames, starts)]
        )
        if crops is None:
            return found
        rows = [start for own in starts for start in own]
        coarse = torch.from_numpy(np.stack([s.cam_from_object for s in rows])).to(crops.K)
        batch = _Batch(rows, crops, self._estimator.two_stage.encode(crops), coarse, [s.kept for s in rows])
        for done in range(1, 1 + max(start.rounds for start in rows)):
            output = self._compare(batch)
            ready = [i for i, start in enumerate(batch.starts) if start.rounds == done]
            for start, one in self._followed(batch, output, ready, done):
                frame, number = start.place
                found[frame][number] = one
            rest = [i for i, start in enumerate(batch.starts) if start.rounds > done]
            batch = batch.moved_to(output.pose).take(rest)
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

    def _starts(
        self, frame: int, image: Picture, K: np.ndarray, known: Sequence[Followed], rounds: int | None
    ) -> list[_Start]:
        matrix, size = np.asarray(K, dtype=np.float64), (image.shape[0], image.shape[1])
        starts = []
        for number, one in enumerate(known):
            estimate, kept = one.estimate, one.kept
            if estimate.class_id not in self._points:
                raise ValueError(f"class {estimate.class_id!r} is not in the bundle")
            pose = estimate.cam_from_obj @ self._obj_from_network[estimate.class_id]
            carried = kept.carried_to(pose, matrix) if kept is not None else None
            if carried is None:
                kept, box = None, self.box(estimate.class_id, estimate.cam_from_obj, matrix)
            else:
                pose, box = carried
            if box is None or not is_inside(box, size):
                continue
            wanted = (1 if kept is not None else self._estimator.rounds) if rounds is None else rounds
            seen = replace(estimate, detection=replace(estimate.detection, box_xyxy_px=box, score=0.0))
            starts.append(_Start((frame, number), seen, pose, matrix, kept, wanted))
        return starts

    def _compare(self, batch: _Batch) -> Refinement:
        """One round of stage 2."""
        two_stage = self._estimator.two_stage
        features, masks = self._rendered(batch)
        return two_stage.compare(batch.crops, batch.real, batch.coarse, features, masks)

    def _rendered(self, batch: _Batch) -> tuple[Pyramid, torch.Tensor]:
        """Features (B) and masks (B, S, S) of renders at the batch's poses: of kept renders and of new ones."""
        two_stage = self._estimator.two_stage
        new = [i for i, kept in enumerate(batch.kept) if kept is None]
        self.renders, self.reuses = self.renders + len(new), self.reuses + len(batch.kept) - len(new)
        if len(new) == len(batch.kept):
            return two_stage.encode_rendered(batch.coarse, batch.crops)
        parts = {i: (kept.features, kept.mask) for i, kept in enumerate(batch.kept) if kept is not None}
        if new:
            wanted = torch.tensor(new, device=batch.coarse.device)
            features, masks = two_stage.encode_rendered(batch.coarse[wanted], batch.crops.take(wanted))
            parts.update({i: (features.row(row), masks[row : row + 1]) for row, i in enumerate(new)})
        ordered = [parts[i] for i in range(len(parts))]
        return Pyramid.join([features for features, _ in ordered]), torch.cat([mask for _, mask in ordered])

    def _followed(
        self, batch: _Batch, output: Refinement, rows: Sequence[int], rounds: int
    ) -> list[tuple[_Start, Followed]]:
        """Some rows of a batch whose rounds are done, with scores of so many rounds and their last renders."""
        if not rows:
            return []
        if len(rows) < len(batch.starts):
            output = output.take(torch.tensor(rows, device=output.pose.device))
            batch = batch.take(rows)
        known, index = [start.estimate for start in batch.starts], batch.crops.object_index
        judged = self._estimator.judged(known, index, batch.real.mask_logit, output, rounds)
        renders = self._to_keep(batch, output) if self._keep_renders else [None] * len(rows)
        return [(start, Followed(*both)) for start, both in zip(batch.starts, zip(judged, renders))]

    @staticmethod
    def _to_keep(batch: _Batch, output: Refinement) -> list[KeptRender]:
        """Of each row the render that it was compared with last: the kept one, or a copy out of the batch."""
        rendered_at = output.coarse.double().cpu().numpy()
        return [
            kept or KeptRender(
                rendered_at[i],
                start.K,
                start.estimate.detection.box_xyxy_px,
                output.rendered.row(i).copied(),
                output.rendered_mask[i : i + 1].clone(),
            )
            for i, (start, kept) in enumerate(zip(batch.starts, batch.kept))
        ]


def is_inside(box_xyxy_px: Box, size: tuple[int, int]) -> bool:
    """Whether enough of a box lies in an image of (height, width), and the network can have a crop of it."""
    x0, y0, x1, y1 = box_xyxy_px
    wide, high = min(x1, size[1]) - max(x0, 0.0), min(y1, size[0]) - max(y0, 0.0)
    if max(abs(v) for v in box_xyxy_px) >= LARGEST_PX or min(x1 - x0, y1 - y0) < 1.0:
        return False
    return wide > 0 and high > 0 and wide * high >= LEAST_INSIDE * (x1 - x0) * (y1 - y0)
