"""Rendering of known meshes at given poses: one interface, two backends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering.interface import NEAR_M, Lights, Materials, Renderer, Rendering

BACKENDS = ("warp", "pyrender")

__all__ = ["BACKENDS", "NEAR_M", "Lights", "Materials", "Renderer", "Rendering", "create_renderer"]


def create_renderer(
    backend: str,
    meshes: Sequence[Mesh],
    device: str | torch.device = "cpu",
    supersample: int = 1,
    max_texture_px: int = 2048,
    approximate: bool = False,
) -> Renderer:
    """A renderer of the given meshes.

    Args:
        backend: "warp" (default choice: batched, CPU and CUDA) or "pyrender" (reference, OpenGL through EGL).
        meshes: the objects; `object_index` of a call counts them.
        device: where the results lie. pyrender draws through OpenGL whatever the device.
        supersample: samples a pixel side for rgb and coverage; depth, mask and instance do not change with it.
        max_texture_px: textures with a longer side are made smaller.
        approximate: with supersampling, half the time: every sample is shaded at edges alone, and depth, mask and
            instance are of a sample that may lie half a pixel beside the centre. The warp backend alone has it.

    Raises:
        ValueError: an unknown backend, no meshes.
        RuntimeError: the backend's libraries are missing; the message says which packages to install.
    """
    if backend == "warp":
        from mrc_core.rendering.warp_renderer import WarpRenderer

        return WarpRenderer(meshes, device, supersample, max_texture_px, approximate)
    if backend == "pyrender":
        if approximate:
            raise ValueError("the pyrender backend is always exact: use the warp backend for approximate pictures")
        from mrc_core.rendering.pyrender_renderer import PyrenderRenderer

        return PyrenderRenderer(meshes, device, supersample, max_texture_px)
    raise ValueError(f"unknown renderer '{backend}': choose from {', '.join(BACKENDS)}")
