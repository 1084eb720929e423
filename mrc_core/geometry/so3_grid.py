"""The equivolumetric grid on SO(3): HEALPix directions times in-plane angles, through the Hopf fibration."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from mrc_core.geometry.rotations import matrix_from_quat_wxyz


def so3_grid(n_side: int) -> Tensor:
    """Grid rotations as quaternions (K, 4), wxyz, float64.

    K = 12 n^2 directions x floor(sqrt(12 pi n^2)) in-plane angles: 576 for n_side 2, 1944 for 3, 4608 for 4
    (Yershova et al. 2010; MRC-Net's supplementary material). Index: in-plane angle x 12 n^2 + direction. The
    rotation of (direction, psi) is a turn by psi about the camera's z axis after a tilt.
    """
    if n_side < 1:
        raise ValueError(f"n_side must be 1 or more, got {n_side}")
    polar, azimuth = healpix_directions(n_side)  # (P,), (P,)
    turns = math.floor(math.sqrt(math.pi * 12 * n_side**2))
    psi = torch.arange(turns, dtype=torch.float64)[:, None] * (2 * math.pi / turns)  # (M, 1)
    t, p = polar[None] / 2, psi / 2
    quat = torch.stack(
        torch.broadcast_tensors(
            t.cos() * p.cos(), t.sin() * (azimuth - p).sin(), t.sin() * (azimuth - p).cos(), t.cos() * p.sin()
        ),
        dim=-1,
    )  # (M, P, 4)
    return quat.flatten(0, 1)


def healpix_directions(n_side: int) -> tuple[Tensor, Tensor]:
    """Polar angle and azimuth (12 n^2,) in radians of HEALPix pixel centres (Gorski et al. 2005, eqs. 4 to 9).

    Order: north cap, mirrored south cap, north belt, mirrored south belt, equator; within each, ring by ring.
    """
    cap = [
        (1 - i * i / (3 * n_side**2), math.pi / (2 * i) * (j - 0.5))
        for i in range(1, n_side)
        for j in range(1, 4 * i + 1)
    ]
    belt = [_belt_pixel(n_side, i, j) for i in range(n_side, 2 * n_side) for j in range(1, 4 * n_side + 1)]
    equator = [_belt_pixel(n_side, 2 * n_side, j) for j in range(1, 4 * n_side + 1)]
    mirrored_cap = [(-z, phi) for z, phi in cap]
    mirrored_belt = [(-z, phi) for z, phi in belt]
    z, phi = torch.tensor(cap + mirrored_cap + belt + mirrored_belt + equator, dtype=torch.float64).unbind(-1)
    return torch.acos(z), phi


def _belt_pixel(n_side: int, ring: int, j: int) -> tuple[float, float]:
    shift = (ring - n_side + 1) % 2
    return 4 / 3 - 2 * ring / (3 * n_side), math.pi / (2 * n_side) * (j - shift / 2)


@lru_cache(maxsize=8)
def so3_grid_matrices(n_side: int) -> Tensor:
    """The grid as rotation matrices (K, 3, 3), float32. The tensor is shared: do not write to it."""
    return matrix_from_quat_wxyz(so3_grid(n_side)).float()
