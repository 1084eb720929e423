"""Meshes into glb files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import trimesh
from PIL import Image

if TYPE_CHECKING:
    from mrc_core.geometry.mesh import Mesh


def save_glb(mesh: Mesh, path: Path) -> None:
    """Write a mesh, in metres, with its texture (as PNG, lossless) or its vertex colours.

    Raises:
        ValueError: the name does not end in .glb.
    """
    if path.suffix.lower() != ".glb":
        raise ValueError(f"meshes are saved as .glb, not as '{path.name}'")
    visual = None
    if mesh.texture is not None:
        image = Image.fromarray(mesh.texture)
        image.format = "PNG"
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=image, metallicFactor=0.0, roughnessFactor=0.8, doubleSided=True
        )
        visual = trimesh.visual.TextureVisuals(uv=np.asarray(mesh.uv, np.float64), material=material)
    elif mesh.vertex_colors is not None:
        opaque = np.full((len(mesh.vertices), 1), 255, np.uint8)
        visual = trimesh.visual.ColorVisuals(
            vertex_colors=np.concatenate([mesh.vertex_colors, opaque], axis=1)
        )
    geometry = trimesh.Trimesh(
        mesh.vertices, mesh.faces, vertex_normals=mesh.normals, visual=visual, process=False, validate=False
    )
    data = trimesh.Scene({mesh.name: geometry}).export(file_type="glb", include_normals=True)
    path.write_bytes(data)
