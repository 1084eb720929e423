"""Renderer crops a second: Warp against pyrender on one mesh of 5k triangles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import trimesh

from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.rotations import make_transform, random_rotations
from mrc_core.rendering import create_renderer

BATCH = 16
SIZE = 256


def lumpy_sphere() -> Mesh:
    """A vertex-coloured solid of 5120 triangles and 0.2 m, that no one needs to download."""
    sphere = trimesh.creation.icosphere(subdivisions=4)
    points = np.asarray(sphere.vertices, dtype=np.float64)
    radius = 0.085 + 0.01 * np.sin(5 * points[:, 0]) * np.cos(4 * points[:, 1])
    solid = trimesh.Trimesh(points * radius[:, None], sphere.faces, process=False)
    colours = ((points * 0.5 + 0.5) * 255).astype(np.uint8)
    return Mesh(
        vertices=np.asarray(solid.vertices, dtype=np.float32),
        faces=np.asarray(solid.faces, dtype=np.int32),
        normals=np.asarray(solid.vertex_normals, dtype=np.float32),
        uv=None,
        texture=None,
        vertex_colors=colours,
        name="lumpy_sphere",
    )


def measure_renderers(device: str, time_call: Callable[..., float], repeats: int) -> list[dict[str, Any]]:
    """Rows of backend, ms a crop and crops/s; pyrender's row says why where it cannot run."""
    mesh = lumpy_sphere()
    pose = make_transform(
        random_rotations(BATCH, torch.Generator().manual_seed(0)), torch.tensor([0, 0, 0.5])
    )
    K = torch.tensor([[600.0, 0, 127.5], [0, 600, 127.5], [0, 0, 1]]).expand(BATCH, 3, 3)
    index = torch.zeros(BATCH, dtype=torch.long)
    rows: list[dict[str, Any]] = []
    for backend in ("warp", "pyrender"):
        try:
            renderer = create_renderer(backend, [mesh], device=device)
            arguments = (index.to(device), pose.to(device), K.to(device), (SIZE, SIZE))
            seconds = time_call(lambda r=renderer, a=arguments: r.render(*a), repeats, device) / BATCH
        except (RuntimeError, ImportError) as error:
            rows.append(
                {
                    "renderer": f"{backend}: {error}",
                    "ms a crop": float("nan"),
                    "crops/s": float("nan"),
                    "times pyrender's rate": float("nan"),
                }
            )
            continue
        rows.append({"renderer": backend, "ms a crop": seconds * 1000, "crops/s": 1 / seconds})
    slow = rows[-1]["crops/s"]
    for row in rows:
        row["times pyrender's rate"] = row["crops/s"] / slow
    return rows
