"""One hash for a mesh's geometry, however it is stored."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mrc_core.geometry.mesh import Mesh


def mesh_hash(mesh: Mesh) -> str:
    """SHA-256 of the mesh's geometry, whatever the order of its vertices and faces and how they are shared.

    A bundle's own copy of a mesh has the hash of the file that it was made of. Colours and textures are left out: a
    decoder that knows the shape is the right start for another paint.
    """
    corners = mesh.vertices[mesh.faces].astype(np.float32) + np.float32(0)  # (F, 3, 3), and no -0
    first = np.lexsort(corners.transpose(2, 0, 1)[::-1], axis=-1)[
        :, 0
    ]  # the same triangle from any of its corners on
    turned = np.stack([corners[np.arange(len(corners)), (first + i) % 3] for i in range(3)], axis=1).reshape(
        -1, 9
    )
    return hashlib.sha256(turned[np.lexsort(turned.T[::-1])].tobytes()).hexdigest()
