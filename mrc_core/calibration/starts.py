"""Poses that a tracker may hand to stage 2: near the truth, drifted, or lost."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mrc_core.geometry.rotations import make_transform, random_rotations, rotation_about

# Shares of the starts, and how far off they are: standard deviations of each component of the rotation vector (deg), of
# the shift across the ray (diameters) and of the depth (parts of it).
KINDS = (
    # share, deg, diameters, depth
    (0.35, 6.0, 0.03, 0.02),  # the object moved on since the last frame
    (0.30, 0.0, 0.0, 0.0),  # the network's own estimate: one more round
    (0.20, 20.0, 0.10, 0.08),  # the track drifts
    (0.15, math.inf, 0.10, 0.05),  # the track is lost: any rotation
)
OWN = 1  # number of the network's own estimate among KINDS


def tracked_starts(true: Tensor, own: Tensor, diameter: Tensor, rng: torch.Generator) -> Tensor:
    """Starting poses (B, 4, 4), one for each true pose, of the kinds above.

    Args:
        true, own: (B, 4, 4), the truth and the network's own estimates, of centred objects.
        diameter: (B,), metres.
    """
    count = len(true)
    share, degrees, shift, depth = torch.tensor(KINDS).T
    kind = torch.multinomial(share, count, replacement=True, generator=rng)
    draw = torch.randn(count, 6, generator=rng)
    turn = draw[:, :3] * torch.deg2rad(degrees[kind].nan_to_num(posinf=0.0))[:, None]
    near = rotation_about(turn + 1e-9, turn.norm(dim=1)).to(true) @ true[:, :3, :3]
    anything = random_rotations(count, rng).to(true)
    rotation = torch.where(degrees[kind].isinf()[:, None, None].to(true.device), anything, near)
    scale = (1 + draw[:, 5:] * depth[kind, None]).clamp(0.7, 1.3).to(true)
    across = torch.cat([draw[:, 3:5] * shift[kind, None], torch.zeros(count, 1)], dim=1).to(true)
    moved = make_transform(rotation, true[:, :3, 3] * scale + across * diameter.to(true)[:, None])
    return torch.where((kind == OWN)[:, None, None].to(true.device), own, moved)
