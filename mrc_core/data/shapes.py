"""How far meshes reach in any direction: what it takes to put them on a table or side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.geometry.mesh import Mesh

DIRECTIONS = 128


@dataclass(frozen=True)
class MeshShapes:
    """Of M meshes: the largest distance of a vertex from the origin, radius (M,), and the vertices that reach furthest
    in each of some directions, extreme (M, DIRECTIONS, 3), in metres."""

    radius: Tensor
    extreme: Tensor

    @staticmethod
    def of(meshes: Sequence[Mesh]) -> MeshShapes:
        """Measures meshes."""
        towards = _sphere(DIRECTIONS)
        vertices = [torch.as_tensor(mesh.vertices).float() for mesh in meshes]
        return MeshShapes(
            torch.stack([points.norm(dim=1).max() for points in vertices]),
            torch.stack([points[(points @ towards.T).argmax(dim=0)] for points in vertices]),
        )

    def __len__(self) -> int:
        return len(self.radius)

    def reach(self, mesh_index: Tensor, rotation: Tensor, direction: Tensor) -> Tensor:
        """How far (N,) the turned meshes reach from their origins along directions (N, 3) of length 1.

        Too short by less than 2 % of the radius, for only some directions are measured.

        Args:
            mesh_index: (N,).
            rotation: of each mesh into the directions' frame (N, 3, 3).
        """
        local = torch.einsum("nij,ni->nj", rotation, direction)
        return torch.einsum("npj,nj->np", self.extreme[mesh_index], local).amax(dim=1)


def _sphere(count: int) -> Tensor:
    """Directions (count, 3), evenly over the sphere (Fibonacci)."""
    i = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * i / count
    angle = math.pi * (1 + math.sqrt(5)) * i
    r = (1 - z * z).sqrt()
    return torch.stack([r * angle.cos(), r * angle.sin(), z], dim=-1).float()
