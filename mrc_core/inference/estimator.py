"""The estimator: a frame and its detections in, poses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mrc_core.geometry.lens_map import DistortedImage
from mrc_core.inference.bundle import Bundle
from mrc_core.inference.crops import check_intrinsics, extract_crops, image_to_tensor
from mrc_core.inference.render_look import renderer_for
from mrc_core.inference.turns import TURNS, best_of_turns
from mrc_core.inference.uncertainty import Uncertainty
from mrc_core.model.two_stage import CropRenderer, Crops, Refinement, TwoStage

LARGEST_PX = 1e5  # of a box's coordinates; beyond, float32 has no pixels left
Precision = Literal["fp32", "bf16", "fp16"]
Picture = np.ndarray | DistortedImage


@dataclass(frozen=True)
class Detection:
    """A detected object: box corners x0, y0, x1, y1 in image pixels; the score is the detector's own."""

    class_id: str
    box_xyxy_px: tuple[float, float, float, float]
    score: float = 1.0


@dataclass(frozen=True)
class PoseEstimate:
    """The pose of one detection.

    cam_from_obj: (4, 4) float64, metres, from the mesh's frame to the camera's optical frame.
    score: 0..1. Of a calibrated bundle the probability that ADD(-S) is below a tenth of the diameter; else how sure
        stage 1 is of its rotation bucket.
    covariance: (6, 6) over x, y, z and the rotations about x, y, z in the camera's axes, m and rad: the true pose is
        Exp(w) R, t + d with (d, w) drawn from it. None where the bundle is not calibrated.
    is_calibrated: whether score and covariance are fitted on scenes that were not trained on (docs/uncertainty.md).
    """

    class_id: str
    cam_from_obj: np.ndarray
    score: float
    covariance: np.ndarray | None
    detection: Detection
    is_calibrated: bool = False


class PoseEstimator:
    """Runs a bundle on frames. Not thread-safe: one caller at a time.

    Args:
        bundle: the trained model.
        renderer: of the bundle's objects, as `renderer_for` makes it.
        device: where all is computed.
        precision: fp32, bf16 or fp16.
        turns: 4: each box is looked at in four in-plane turns, and the most confident one counts. Scores are then
            stage 1's own, and covariances unknown, also where the bundle is calibrated.

    Raises:
        ValueError: `turns` is neither 1 nor 4.
    """

    def __init__(
        self,
        bundle: Bundle,
        renderer: CropRenderer,
        device: torch.device,
        precision: Precision,
        turns: int = 1,
    ) -> None:
        if turns not in (1, TURNS):
            raise ValueError(f"turns must be 1 or {TURNS}, not {turns}")
        self.turns = turns
        self.bundle, self.device, self.precision = bundle, device, precision
        self.class_ids = bundle.class_ids
        autocast = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.two_stage = TwoStage(bundle.network(device), bundle.codec(device), renderer, autocast)
        self._network_from_obj = bundle.network_from_obj().to(device)  # (N, 4, 4) float64
        self._index = {name: i for i, name in enumerate(self.class_ids)}
        self._uncertainty: Uncertainty | None = None
        if bundle.calibration is not None and turns == 1:  # it was fitted without turns
            self._uncertainty = Uncertainty(bundle, bundle.calibration, self.two_stage.codec.grid)

    @property
    def rounds(self) -> int:
        """How often stage 2 runs for a detected pose."""
        return self.two_stage.network.config.rounds

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        device: str = "cpu",
        precision: Precision | None = None,
        renderer: str = "warp",
        turns: int = 1,
    ) -> PoseEstimator:
        """Loads a bundle folder.

        Args:
            path: the folder with bundle.yaml.
            device: cpu or cuda.
            precision: fp32 (default on the CPU), bf16 (default on CUDA) or fp16.
            renderer: warp or pyrender.
            turns: 4: each box is looked at in four in-plane turns, and the most confident one counts.

        Raises:
            BundleError: the bundle cannot be used.
            RuntimeError: CUDA was asked for and is not there.
        """
        target = torch.device(device)
        if target.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("no CUDA device is available to torch: use device='cpu'")
        bundle = Bundle.load(path)
        chosen = precision or ("bf16" if target.type == "cuda" else "fp32")
        return cls(bundle, renderer_for(bundle, renderer, device), target, chosen, turns)

    def estimate(
        self, image_rgb_uint8: Picture, K: np.ndarray, detections: Sequence[Detection]
    ) -> list[PoseEstimate]:
        """Poses of all detections of a frame in one pass: one for each, in the same order.

        Args:
            image_rgb_uint8: (H, W, 3); or as a `DistortedImage`, which the crops are undistorted out of.
            K: (3, 3), pixel centres at integers, of the undistorted image, as the detections' boxes.

        Raises:
            ValueError: an unknown class, a box that is empty, NaN or outside of the image, a bad image or K.
        """
        return self.estimate_batch([(image_rgb_uint8, K, detections)])[0]

    @torch.inference_mode()
    def estimate_batch(
        self, frames: Sequence[tuple[Picture, np.ndarray, Sequence[Detection]]]
    ) -> list[list[PoseEstimate]]:
        """`estimate` for several cameras' frames (image, K, detections), in one pass."""
        crops = self.crop(frames)
        if crops is None:
            return [[] for _ in frames]
        found = [detection for _, _, detections in frames for detection in detections]
        rest = iter(self._run(crops, found))
        return [list(islice(rest, len(detections))) for _, _, detections in frames]

    def _run(self, crops: Crops, found: Sequence[Detection]) -> list[PoseEstimate]:
        """Both stages on crops (B) of so many detections."""
        if self.turns > 1:
            best = best_of_turns(self.two_stage, crops)
            return _estimates(found, self._in_mesh_frame(best.pose, crops.object_index), best.score.tolist())
        output = self.two_stage(crops)
        poses = self._in_mesh_frame(output.pose, crops.object_index)
        if self._uncertainty is None:
            return _estimates(found, poses, output.logits.rotation.sigmoid().amax(dim=1).tolist())
        return _estimates(found, poses, *self._uncertainty.of_detected(output, crops.object_index, poses))

    @torch.inference_mode()
    def refine(
        self, image_rgb_uint8: Picture, K: np.ndarray, poses: Sequence[PoseEstimate]
    ) -> list[PoseEstimate]:
        """Stage 2 alone, from given poses: one more round, or the next frame of a tracked object.

        The crops are those of the estimates' detections. Of a calibrated bundle the scores say whether the poses are
        right now, after the refinement; else they stay as they were given.
        """
        detections = [item.detection for item in poses]
        crops = self.crop([(image_rgb_uint8, K, detections)])
        if crops is None:
            return []
        known = self.in_network_frame([item.cam_from_obj for item in poses], crops.object_index)
        real = self.two_stage.encode(crops)
        output = self.two_stage.refine(crops, real, known)
        return self.judged(poses, crops.object_index, real.mask_logit, output)

    def judged(
        self,
        given: Sequence[PoseEstimate],
        object_index: Tensor,
        mask_logit: Tensor,
        output: Refinement,
        rounds: int = 1,
    ) -> list[PoseEstimate]:
        """Estimates of what stage 2 made of given ones.

        Args:
            given: their detections are kept, and of a bundle without calibration their scores.
            object_index: (B,), of each.
            mask_logit: (B, 1, M, M), of the real crops.
            output: the last of so many `rounds`.
        """
        detections = [item.detection for item in given]
        refined = self._in_mesh_frame(output.pose, object_index)
        if self._uncertainty is None:
            return _estimates(detections, refined, [item.score for item in given])
        judged = self._uncertainty.of_tracked(mask_logit, output, object_index, refined, rounds)
        return _estimates(detections, refined, *judged)

    def crop(self, frames: Sequence[tuple[Picture, np.ndarray, Sequence[Detection]]]) -> Crops | None:
        """The crops of all detections of all frames, or None where there is none."""
        images, matrices, indices = [], [], []
        for picture, K, detections in frames:
            rgb, lens = (picture.rgb, picture.lens) if isinstance(picture, DistortedImage) else (picture, None)
            image = image_to_tensor(rgb, self.device)
            matrix = check_intrinsics(torch.as_tensor(np.asarray(K, dtype=np.float64)))
            if not detections:
                continue
            boxes = torch.tensor([self._checked_box(d, image.shape[-2:]) for d in detections])
            crop, K_crop = extract_crops(
                image, matrix, boxes, self.two_stage.codec.crop_size, self.bundle.conventions, lens
            )
            images.append(crop)
            matrices.append(K_crop)
            indices += [self._index[d.class_id] for d in detections]
        if not images:
            return None
        return Crops(torch.cat(images), torch.cat(matrices), torch.tensor(indices, device=self.device))

    def _checked_box(self, detection: Detection, size: tuple[int, int] | torch.Size) -> list[float]:
        if detection.class_id not in self._index:
            raise ValueError(
                f"class {detection.class_id!r} is not in the bundle: {', '.join(self.class_ids)}"
            )
        x0, y0, x1, y1 = box = [float(v) for v in detection.box_xyxy_px]
        height, width = size
        if not all(abs(v) < LARGEST_PX for v in box) or x1 - x0 < 1 or y1 - y0 < 1:
            raise ValueError(
                f"{detection.class_id}: the box {box} is empty, not finite or absurd (x0, y0, x1, y1 in pixels)"
            )
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise ValueError(
                f"{detection.class_id}: the box {box} lies outside of the {width}x{height} image"
            )
        return box

    def in_network_frame(self, poses: Sequence[np.ndarray], object_index: Tensor) -> Tensor:
        """Poses (4, 4) of meshes' frames as poses (B, 4, 4), float32, of the frames that the network knows."""
        given = torch.from_numpy(np.stack(poses)).to(self.device)
        return (given @ torch.linalg.inv(self._network_from_obj[object_index])).float()

    def _in_mesh_frame(self, pose: Tensor, object_index: Tensor) -> np.ndarray:
        """cam_from_obj (B, 4, 4) float64 of poses in the frames that the network knows."""
        return (pose.double() @ self._network_from_obj[object_index]).cpu().numpy()


def _estimates(
    detections: Sequence[Detection],
    poses: np.ndarray,
    scores: Sequence[float] | np.ndarray,
    covariances: np.ndarray | None = None,
) -> list[PoseEstimate]:
    """One for each detection; calibrated where there are covariances."""
    unknown = [None] * len(detections)
    rows = zip(detections, poses, scores, unknown if covariances is None else covariances)
    return [PoseEstimate(d.class_id, pose, float(p), cov, d, cov is not None) for d, pose, p, cov in rows]
