"""Scores and covariances of a calibrated bundle's poses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrc_core.inference.bundle import Bundle
from mrc_core.inference.calibration import Calibration, Channel, spread_units
from mrc_core.inference.evidence import BucketSpread, detected_evidence, tracked_evidence
from mrc_core.inference.pose_covariance import centres_and_axes, pose_covariance
from mrc_core.model.two_stage import Refinement, TwoStageOutput

Array = NDArray[np.float64]


class Uncertainty:
    """Tells how sure a pose is.

    Args:
        bundle: with a calibration.
        grid: rotations (K, 3, 3) of the network's buckets, on its device.
    """

    def __init__(self, bundle: Bundle, calibration: Calibration, grid: Tensor) -> None:
        self.calibration = calibration
        self._bucket_spread = BucketSpread(bundle.objects, grid)
        self._centres, self._free = centres_and_axes(bundle.objects)
        self._diameters = np.array([item.diameter for item in bundle.objects])

    def of_detected(
        self, output: TwoStageOutput, object_index: Tensor, cam_from_obj: Array
    ) -> tuple[Array, Array]:
        """Probabilities (B,) and covariances (B, 6, 6) of the poses (B, 4, 4) that both stages estimated."""
        evidence = detected_evidence(output, object_index, self._bucket_spread)
        return self._judge(self.calibration.detected, evidence, object_index, cam_from_obj)

    def of_tracked(
        self,
        mask_logit: Tensor,
        refinement: Refinement,
        object_index: Tensor,
        cam_from_obj: Array,
        rounds: int = 1,
    ) -> tuple[Array, Array]:
        """The same of poses that stage 2 alone refined.

        Args:
            mask_logit: (B, 1, M, M), of the real crops.
            refinement: the last of so many `rounds`.
        """
        evidence = tracked_evidence(mask_logit, refinement)
        return self._judge(self.calibration.tracked_after(rounds), evidence, object_index, cam_from_obj)

    def _judge(
        self, channel: Channel, evidence: Tensor, object_index: Tensor, cam_from_obj: Array
    ) -> tuple[Array, Array]:
        # one transfer from the device
        joined = torch.cat([evidence.double(), object_index[:, None].double()], dim=1).cpu().numpy()
        numbers, index = joined[:, :-1], joined[:, -1].astype(np.int64)
        centres = self._centres[index]
        middle = cam_from_obj[:, :3, 3] + np.einsum("bij,bj->bi", cam_from_obj[:, :3, :3], centres)
        units = spread_units(np.linalg.norm(middle, axis=1), self._diameters[index])
        deviations = channel.deviations(numbers, index, units)
        covariances = pose_covariance(cam_from_obj, centres, self._free[index], deviations)
        return channel.probabilities(numbers, index), covariances
