"""An object as the network knows it: mesh, symmetries and class, with the origin moved to the object's middle."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.mesh_source import MeshSource
from mrc_core.geometry.symmetries import SymmetrySet, second_moment

CLASS_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")


@dataclass(frozen=True)
class ObjectModel:
    """One class of objects.

    Network, renderer and losses work in the *centred* frame: same axes as the mesh, origin at a point that every
    symmetry leaves in place, near the middle of the bounding box. Users see the mesh's own frame: `cam_from_obj`.
    """

    class_id: str
    mesh: Mesh
    symmetries: SymmetrySet
    source: MeshSource | None = None  # the files that the mesh was read from, where that is known

    def __post_init__(self) -> None:
        # the name becomes a file name in a bundle, a ROS topic and a TF frame
        if not self.class_id or not CLASS_ID.fullmatch(self.class_id):
            raise ValueError(
                f"class_id {self.class_id!r} cannot be used: letters, digits, '_', '-', '.' and spaces, not first '.'"
            )

    @cached_property
    def centre(self) -> Tensor:
        """The centred frame's origin (3,) in the mesh's frame, metres, float64.

        The middle of the bounding box, averaged over its images under the symmetries: a fixed point of all of them.
        """
        vertices = torch.from_numpy(np.asarray(self.mesh.vertices, dtype=np.float64))
        middle = (vertices.amin(dim=0) + vertices.amax(dim=0)) / 2
        images = self.symmetries.transforms(steps=36) @ torch.cat(
            [middle, torch.ones(1, dtype=torch.float64)]
        )
        return images[:, :3].mean(dim=0)

    @cached_property
    def centred_mesh(self) -> Mesh:
        """The mesh in the centred frame: what is rendered."""
        return replace(self.mesh, vertices=(self.mesh.vertices - self.centre.numpy()).astype(np.float32))

    @cached_property
    def centred_symmetries(self) -> SymmetrySet:
        """The symmetries in the centred frame."""
        return self.symmetries.centred(self.centre)

    @cached_property
    def points(self) -> Tensor:
        """Vertices (N, 3), float32, in the centred frame, at most 2048 of them (every n-th): for losses."""
        vertices = torch.from_numpy(np.asarray(self.centred_mesh.vertices, dtype=np.float32))
        return vertices[:: max(1, -(-len(vertices) // 2048))]

    @cached_property
    def moment(self) -> Tensor:
        """Second moment (4, 4) of surface points in the centred frame, float64."""
        return second_moment(torch.as_tensor(self.centred_mesh.sample_points(4096, seed=0)))

    @property
    def diameter(self) -> float:
        """Largest distance of two vertices in metres."""
        return self.mesh.diameter

    def centred_from_obj(self) -> Tensor:
        """Transform (4, 4), float64, from the mesh's frame to the centred one."""
        shift = torch.eye(4, dtype=torch.float64)
        shift[:3, 3] = -self.centre
        return shift
