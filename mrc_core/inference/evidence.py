"""What the network says about its own pose, in a few numbers that cost no further pass.

They were chosen by what they add on scenes that were not fitted on (docs/uncertainty.md); a calibration turns them
into a probability and a covariance.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import rotation_angle
from mrc_core.model.heads import PoseLogits
from mrc_core.model.two_stage import Refinement, TwoStageOutput

DETECTED = ("overlap", "bucket_score", "bucket_spread", "depth_spread")
"""Of a detected pose: agreement of the predicted visible mask and the silhouette that stage 2 started from (logit of
their soft intersection over union); the chosen rotation bucket's score (logit); the distance of all buckets from it,
weighted by their scores (logarithm, in diameters, symmetric equivalents folded); width of the depth distribution
(logarithm, in parts of the object's range)."""
TRACKED = ("overlap", "turn", "shift", "depth", "mask_area")
"""Of a pose that stage 2 alone refined: the same overlap; how far the last round moved it: rotation (rad), shift (parts
of the crop), depth (parts of the object's middle tau_z); area of the predicted mask (logarithm, parts of the crop)."""

SMALLEST = 0.01  # of overlaps and scores before the logit: beyond, they tell nothing


class BucketSpread:
    """Root-mean-square distance of all rotation buckets from the chosen one, weighted by their scores.

    The distance of two rotations is that of the object's points (root mean square, over the diameter), of symmetric
    equivalents the least: d^2 = 2 tr C - 2 max_S tr(R_a S C R_k^T) with C the second moment of the points. About an
    axis of revolution the trace is a + b cos + c sin of the angle, with the maximum a + sqrt(b^2 + c^2).

    Args:
        objects: in the order of object_index.
        grid: rotations (K, 3, 3) of the buckets.
    """

    def __init__(self, objects: Sequence[ObjectModel], grid: Tensor) -> None:
        parts, self._total = [], torch.zeros(len(objects))
        for i, item in enumerate(objects):
            moment = item.moment[:3, :3] / item.diameter**2
            discrete, axis = item.centred_symmetries.candidates()
            fixed, cosine, sine = torch.eye(3, dtype=torch.float64), torch.zeros(3, 3), torch.zeros(3, 3)
            if axis is not None:  # Rodrigues: turn = fixed + cos cosine + sin sine
                unit = torch.nn.functional.normalize(torch.tensor(axis.axis, dtype=torch.float64), dim=0)
                fixed = torch.outer(unit, unit)
                cosine = torch.eye(3, dtype=torch.float64) - fixed
                sine = torch.linalg.cross(unit.expand(3, 3), torch.eye(3, dtype=torch.float64)).T
            # an equivalent pose is R G A with G a discrete symmetry and A a turn about the axis
            turns = torch.stack([fixed.double(), cosine.double(), sine.double()])
            parts.append(discrete[:, None, :3, :3] @ turns @ moment)  # (D, 3, 3, 3)
            self._total[i] = 2 * torch.trace(moment)
        most = max(len(part) for part in parts)
        padded = [torch.cat([part, part[:1].expand(most - len(part), 3, 3, 3)]) for part in parts]
        self._operators = torch.stack(padded).float().to(grid)  # (N, D, 3, 3, 3)
        self._total = self._total.to(grid)
        self._grid = grid
        self._flat_grid = grid.flatten(1).T.contiguous()  # (9, K)

    def __call__(self, scores: Tensor, chosen: Tensor, object_index: Tensor) -> Tensor:
        """The spread (B,) in diameters, of scores (B, K) in 0..1 around the buckets `chosen` (B,)."""
        return (self._squared(chosen, object_index) * scores).sum(1).div(scores.sum(1)).clamp(min=0).sqrt()

    def distances(self, chosen: Tensor, object_index: Tensor) -> Tensor:
        """Distances (B, K) in diameters of every bucket from the chosen ones (B,)."""
        return self._squared(chosen, object_index).clamp(min=0).sqrt()

    def _squared(self, chosen: Tensor, object_index: Tensor) -> Tensor:
        turned = self._grid[chosen][:, None, None] @ self._operators[object_index]  # (B, D, 3, 3, 3)
        trace = turned.flatten(3) @ self._flat_grid  # (B, D, 3, K)
        nearest = (trace[:, :, 0] + torch.hypot(trace[:, :, 1], trace[:, :, 2])).amax(dim=1)
        return self._total[object_index][:, None] - 2 * nearest


def detected_evidence(output: TwoStageOutput, object_index: Tensor, bucket_spread: BucketSpread) -> Tensor:
    """(B, 4) in the order of DETECTED."""
    overlap, _ = mask_agreement(output.real.mask_logit, output.rendered_mask)
    scores = output.logits.rotation.sigmoid()
    best, chosen = scores.max(dim=1)
    spread = bucket_spread(scores, chosen, object_index).clamp(min=1e-3).log()
    return torch.stack([overlap, _logit(best), spread, _depth_spread(output.logits)], dim=1)


def tracked_evidence(mask_logit: Tensor, refinement: Refinement) -> Tensor:
    """(B, 5) in the order of TRACKED; mask_logit (B, 1, M, M) of the real crops."""
    overlap, area = mask_agreement(mask_logit, refinement.rendered_mask)
    turn = rotation_angle(refinement.pose[:, :3, :3], refinement.coarse[:, :3, :3])
    residual = refinement.residual
    shift, depth = residual.xy.norm(dim=1), residual.depth.abs().squeeze(1)
    return torch.stack([overlap, turn, shift, depth, area.clamp(min=1e-3).log()], dim=1)


def mask_agreement(mask_logit: Tensor, rendered_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logit (B,) of the soft intersection over union, and the predicted mask's area (B,) in parts of the crop.

    Args:
        mask_logit: (B, 1, M, M), the network's visible mask.
        rendered_mask: (B, S, S) bool, S a multiple of M.
    """
    seen = mask_logit.float().sigmoid().squeeze(1)
    rendered = F.avg_pool2d(rendered_mask[:, None].float(), rendered_mask.shape[-1] // seen.shape[-1]).squeeze(1)
    both = (seen * rendered).sum((1, 2))
    area = seen.sum((1, 2))
    either = area + rendered.sum((1, 2)) - both
    return _logit(both / either.clamp(min=1.0)), area / seen[0].numel()


def _depth_spread(logits: PoseLogits) -> Tensor:
    share = logits.depth.softmax(dim=1)
    bins = torch.arange(share.shape[1], device=share.device) / share.shape[1]
    mean = share @ bins
    variance = ((bins - mean[:, None]).square() * share).sum(1)
    return variance.clamp(min=1e-6).sqrt().log()


def _logit(share: Tensor) -> Tensor:
    return share.logit(eps=SMALLEST)
