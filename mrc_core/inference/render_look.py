"""Renders as a bundle's network expects them: which meshes, in which frame, in which colours and light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mrc_core.geometry.mesh import Mesh
from mrc_core.inference.bundle import Bundle
from mrc_core.model.conventions import Conventions
from mrc_core.model.two_stage import CropRenderer
from mrc_core.rendering import Lights, Renderer, Rendering, create_renderer

GREY = 153  # 0.6 of 255


def renderer_for(bundle: Bundle, backend: str, device: str) -> CropRenderer:
    """A renderer of the bundle's objects, in the frame and with the look that its network was trained with."""
    return look_renderer(bundle.network_meshes(), bundle.conventions, backend, device)


def look_renderer(
    meshes: Sequence[Mesh], conventions: Conventions, backend: str, device: str
) -> CropRenderer:
    """A renderer of these meshes, in the frame that a network knows, with the look that its conventions say."""
    if conventions.render == "material":
        return create_renderer(backend, meshes, device=device)
    return GreyRenderer(create_renderer(backend, [painted_grey(mesh) for mesh in meshes], device=device))


def painted_grey(mesh: Mesh) -> Mesh:
    """The mesh without its texture and colours, in the reference implementation's grey."""
    colors = np.full((len(mesh.vertices), 3), GREY, np.uint8)
    return replace(mesh, uv=None, texture=None, vertex_colors=colors)


class GreyRenderer:
    """Renders grey meshes (see `painted_grey`) in the light of the reference implementation.

    There [R]: grey c = 0.6; one light, whose direction is from the object's origin to the camera; colour
    c (0.8 + c 0.5 max(0, n . d)) + c 0.1 max(0, v . r)^10 with r the light's direction mirrored at the normal.
    Its library multiplies the light's diffuse and specular colours by the material's, which are grey too.

    Args:
        renderer: of the grey meshes.
    """

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def render(
        self, object_index: Tensor, cam_from_obj: Tensor, K: Tensor, size: tuple[int, int]
    ) -> Rendering:
        """One object in each image; see `Renderer.render`."""
        lights = reference_lights(cam_from_obj[:, :3, 3])
        return self.renderer.render(object_index, cam_from_obj, K, size, lights)


def reference_lights(translation: Tensor) -> Lights:
    """Lights of B images with the object's origin at translation (B, 3) in the camera's frame.

    The highlight is exact at its middle alone: `Lights` takes the vector halfway to the light where the reference
    mirrors, at half the angle, so the exponent is four times as large. They differ by less than half of 1/255.
    """
    count, grey = len(translation), GREY / 255

    def full(value: float, *shape: int) -> Tensor:
        return torch.full((count, *shape), value, device=translation.device)

    return Lights(
        ambient=full(0.8, 3),
        directions=-translation[:, None, :],
        colors=full(0.5 * grey, 1, 3),
        specular=full(0.1 / 0.5),  # of the light's colour: 0.1 grey
        shininess=full(4 * 10.0),
    )
