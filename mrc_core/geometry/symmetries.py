"""Symmetries of an object: BOP's discrete and continuous ones, all equivalent poses and the nearest of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from mrc_core.geometry.rotations import make_transform, rotation_about

BOP_STEPS = math.ceil(math.pi / 0.01)  # 315: BOP's discretisation of a full turn


@dataclass(frozen=True)
class ContinuousSymmetry:
    """Any turn about `axis` (object frame, any length but zero) through the point `offset` (metres)."""

    axis: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def transforms(self, angles: Tensor) -> Tensor:
        """Transforms (..., 4, 4), float64, of turns by `angles` (...): t = o - R o."""
        axis = torch.tensor(self.axis, dtype=torch.float64)
        offset = torch.tensor(self.offset, dtype=torch.float64)
        rotation = rotation_about(axis.expand(*angles.shape, 3), angles.double())
        return make_transform(rotation, offset - rotation @ offset)


class SymmetrySet:
    """The symmetries of one object. Transforms map the object onto itself: obj_from_obj, metres.

    Args:
        discrete: transforms (n, 4, 4) without the identity, or None.
        continuous: axes of revolution.
    """

    def __init__(
        self, discrete: Tensor | None = None, continuous: tuple[ContinuousSymmetry, ...] = ()
    ) -> None:
        given = torch.zeros(0, 4, 4) if discrete is None else torch.as_tensor(discrete)
        if given.ndim != 3 or given.shape[1:] != (4, 4):
            raise ValueError(f"discrete symmetries must be (n, 4, 4), got {tuple(given.shape)}")
        rotation = given[:, :3, :3].double()
        residue = (rotation @ rotation.transpose(-1, -2) - torch.eye(3, dtype=torch.float64)).abs()
        if (
            not torch.isfinite(given).all()
            or (residue > 1e-3).any()
            or (torch.linalg.det(rotation) < 0).any()
        ):
            raise ValueError(
                "a discrete symmetry is not a rigid transform (rotation part must be orthonormal, det +1)"
            )
        for symmetry in continuous:
            if not all(map(math.isfinite, (*symmetry.axis, *symmetry.offset))) or not any(symmetry.axis):
                raise ValueError(
                    f"a continuous symmetry needs a finite axis that is not zero, got {symmetry.axis}"
                )
        self.discrete = torch.cat([torch.eye(4, dtype=torch.float64)[None], given.double()])  # identity first
        self.continuous = tuple(continuous)

    @classmethod
    def from_bop(cls, info: dict[str, Any], metres_per_unit: float = 1e-3) -> SymmetrySet:
        """Reads `symmetries_discrete` (16 numbers each) and `symmetries_continuous` ({axis, offset}).

        Args:
            info: one object's entry of models_info.json (millimetres: the default unit), or of an objects.yaml.
        """
        matrices = []
        for numbers in info.get("symmetries_discrete") or []:
            flat = torch.as_tensor(numbers, dtype=torch.float64).flatten()
            if flat.numel() != 16:
                raise ValueError(
                    f"symmetries_discrete: 16 numbers (4x4, row-major) expected, got {flat.numel()}"
                )
            matrix = flat.view(4, 4).clone()
            matrix[:3, 3] *= metres_per_unit
            matrices.append(matrix)
        axes = []
        for entry in info.get("symmetries_continuous") or []:
            x, y, z = (float(v) for v in entry["axis"])
            ox, oy, oz = (float(v) * metres_per_unit for v in entry.get("offset", (0, 0, 0)))
            axes.append(ContinuousSymmetry((x, y, z), (ox, oy, oz)))
        return cls(torch.stack(matrices) if matrices else None, tuple(axes))

    def to_bop(self, metres_per_unit: float = 1.0) -> dict[str, Any]:
        """The two lists of `from_bop`, in the given unit."""
        scale = torch.ones(4, 4, dtype=torch.float64)
        scale[:3, 3] = 1 / metres_per_unit
        return {
            "symmetries_discrete": [(m * scale).flatten().tolist() for m in self.discrete[1:]],
            "symmetries_continuous": [
                {"axis": list(c.axis), "offset": [v / metres_per_unit for v in c.offset]}
                for c in self.continuous
            ],
        }

    @property
    def is_trivial(self) -> bool:
        """True where the identity is the only symmetry."""
        return len(self.discrete) == 1 and not self.continuous

    def transforms(self, steps: int = BOP_STEPS) -> Tensor:
        """All symmetries (S, 4, 4), float64, identity first: each discrete one composed with each continuous turn.

        R = Rc Rd, t = Rc td + tc, as BOP composes them; a continuous axis counts `steps` turns.
        """
        return self._compose(self.discrete, self.continuous, steps)

    @staticmethod
    def _compose(discrete: Tensor, continuous: tuple[ContinuousSymmetry, ...], steps: int) -> Tensor:
        turns = torch.arange(steps, dtype=torch.float64) * (2 * math.pi / steps)
        out = []
        for parts in product(*([c.transforms(turns) for c in continuous])):
            turn = torch.eye(4, dtype=torch.float64)
            for part in parts:
                turn = part @ turn
            out.append(turn @ discrete)
        return torch.cat(out)

    def centred(self, centre: Tensor) -> SymmetrySet:
        """The same symmetries for an object whose origin was moved to `centre` (3,)."""
        shift = torch.eye(4, dtype=torch.float64)
        shift[:3, 3] = centre.double()
        moved = torch.linalg.inv(shift) @ self.discrete[1:] @ shift
        axes = tuple(
            ContinuousSymmetry(c.axis, tuple((torch.tensor(c.offset).double() - centre.double()).tolist()))  # type: ignore[arg-type]
            for c in self.continuous
        )
        return SymmetrySet(moved, axes)

    def candidates(self) -> tuple[Tensor, ContinuousSymmetry | None]:
        """What `nearest_pose` searches: transforms (D, 4, 4) and the one axis that is solved in closed form."""
        if not self.continuous:
            return self.discrete, None
        # a second axis of revolution (a sphere, in effect) is discretised in steps of ten degrees
        return self._compose(self.discrete, self.continuous[:-1], 36), self.continuous[-1]

    def nearest_pose(self, cam_from_obj: Tensor, reference: Tensor, moment: Tensor) -> Tensor:
        """Of all poses equivalent to `cam_from_obj` (B, 4, 4) the one nearest to `reference` (B, 4, 4).

        Near is the root-mean-square distance of the object's points, with `moment` (4, 4) = mean of [x; 1][x; 1]^T.
        About an axis of revolution the squared distance is a + b cos(angle) + c sin(angle): three values give the
        minimum exactly, so no discretisation error is left.
        """
        dtype, device = cam_from_obj.dtype, cam_from_obj.device
        discrete, axis = self.candidates()
        poses = cam_from_obj.double()[:, None] @ discrete.to(device)  # (B, D, 4, 4)
        reference64, moment64 = reference.double(), moment.double().to(device)
        if axis is not None:
            angles = torch.tensor([0.0, math.pi / 2, math.pi], dtype=torch.float64)
            turned = poses[:, :, None] @ axis.transforms(angles).to(device)  # (B, D, 3, 4, 4)
            at0, at90, at180 = _squared_distance(turned, reference64[:, None, None], moment64).unbind(-1)
            mean, cosine = (at0 + at180) / 2, (at0 - at180) / 2
            best_angle = torch.atan2(mean - at90, -cosine)  # (B, D)
            poses = poses @ axis.transforms(best_angle.cpu()).to(device)
        best = _squared_distance(poses, reference64[:, None], moment64).argmin(dim=1)
        return poses[torch.arange(len(poses), device=device), best].to(dtype)


def _squared_distance(a: Tensor, b: Tensor, moment: Tensor) -> Tensor:
    """Mean squared distance (...) of points under a and b (..., 4, 4) given their second moment (4, 4)."""
    gap = (a - b)[..., :3, :]
    return ((gap @ moment) * gap).sum(dim=(-1, -2))


def second_moment(points: Tensor) -> Tensor:
    """Mean (4, 4), float64, of [x; 1][x; 1]^T over points (N, 3)."""
    homogeneous = torch.cat([points.double(), torch.ones(len(points), 1, dtype=torch.float64)], dim=1)
    return homogeneous.T @ homogeneous / len(points)
