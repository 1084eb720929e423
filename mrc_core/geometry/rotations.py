"""Rotations: quaternions (wxyz), the continuous 6D representation, distances and random draws.

All functions take any leading batch shape.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def matrix_from_quat_wxyz(quat_wxyz: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) in the order w, x, y, z (normalised here)."""
    w, x, y, z = (quat_wxyz / quat_wxyz.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quat_wxyz_from_matrix(rotation: Tensor) -> Tensor:
    """Unit quaternions (..., 4), wxyz, w >= 0, of rotation matrices (..., 3, 3).

    Of the four algebraic forms the one with the largest divisor is taken, which is stable at every angle.
    """
    m = rotation
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    squares = torch.stack(  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
        [
            1 + trace,
            1 + 2 * m[..., 0, 0] - trace,
            1 + 2 * m[..., 1, 1] - trace,
            1 + 2 * m[..., 2, 2] - trace,
        ],
        dim=-1,
    )
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 2, 0] + m[..., 0, 2], m[..., 2, 1] + m[..., 1, 2]
    w2, x2, y2, z2 = squares.unbind(-1)
    candidates = torch.stack(  # row i: 4 q_i (w, x, y, z)
        [
            torch.stack([w2, wx, wy, wz], dim=-1),
            torch.stack([wx, x2, xy, xz], dim=-1),
            torch.stack([wy, xy, y2, yz], dim=-1),
            torch.stack([wz, xz, yz, z2], dim=-1),
        ],
        dim=-2,
    )
    best = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quat = candidates.gather(-2, best).squeeze(-2)
    quat = quat / quat.norm(dim=-1, keepdim=True)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def matrix_from_6d(six: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) from six numbers (a, b): x = a/|a|, z = x x b/|x x b|, y = z x x, as columns.

    The identity is (1, 0, 0, 0, 1, 0). (Zhou et al., CVPR 2019, with the order of the products that MRC-Net uses.)
    """
    a, b = six[..., :3], six[..., 3:]
    x = torch.nn.functional.normalize(a, dim=-1, eps=1e-8)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, b, dim=-1), dim=-1, eps=1e-8)
    y = torch.linalg.cross(z, x, dim=-1)
    return torch.stack([x, y, z], dim=-1)


def rotation_6d(rotation: Tensor) -> Tensor:
    """The six numbers (..., 6) of rotation matrices (..., 3, 3): first column, then second."""
    return torch.cat([rotation[..., 0], rotation[..., 1]], dim=-1)


def rotation_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) about axis (..., 3) by angle (...) in radians, right-handed."""
    axis = torch.nn.functional.normalize(axis, dim=-1)
    half = angle[..., None] / 2
    return matrix_from_quat_wxyz(torch.cat([half.cos(), half.sin() * axis], dim=-1))


def rotation_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle (...) in radians between rotation matrices a and b (..., 3, 3), accurate near zero.

    |a - b|_F = 2 sqrt(2) sin(angle / 2); unlike the arc cosine of the trace this keeps its digits at small angles.
    """
    chord = torch.linalg.matrix_norm(a - b) / (2 * math.sqrt(2))
    return 2 * torch.asin(chord.clamp(max=1.0))


def random_rotations(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Rotation matrices (count, 3, 3), uniform over SO(3)."""
    return matrix_from_quat_wxyz(torch.randn(count, 4, generator=generator, dtype=torch.float64)).float()


def make_transform(rotation: Tensor, translation: Tensor) -> Tensor:
    """Homogeneous transforms (..., 4, 4) of rotations (..., 3, 3) and translations (..., 3)."""
    shape = torch.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    out = torch.zeros(*shape, 4, 4, dtype=rotation.dtype, device=rotation.device)
    out[..., :3, :3] = rotation
    out[..., :3, 3] = translation
    out[..., 3, 3] = 1
    return out


def transform_points(transform: Tensor, points: Tensor) -> Tensor:
    """Points (..., N, 3) moved by transforms (..., 4, 4)."""
    return points @ transform[..., :3, :3].transpose(-1, -2) + transform[..., None, :3, 3]
