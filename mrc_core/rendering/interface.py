"""What every renderer offers: the protocol, lights, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

NEAR_M = 0.001


@dataclass(frozen=True, eq=False)
class Rendering:
    """Rendered images, all on the renderer's device.

    Attributes:
        rgb: (B, 3, H, W) float32, 0..1, black where nothing is. With supersampling, edges are blended with black.
        depth_m: (B, H, W) float32, z in the camera's frame at the pixel's centre, 0 where nothing is.
        mask: (B, H, W) bool, whether an object covers the pixel's centre.
        instance: (B, H, W) int32, the row of `render_scenes` that is visible at the pixel's centre, -1 for none.
        coverage: (B, H, W) float32, the share of the pixel's samples that hit an object, so that
            `rgb + (1 - coverage) * background` puts the objects before a background with smooth edges.
        first_light: (B, 3, H, W) float32, the part of rgb that is there because of the first light, so that
            `rgb - first_light` is a surface which that light does not reach; None unless materials are given.

    Supersampling changes rgb, coverage and first_light alone: depth, mask and instance are those of the pixel's centre.
    """

    rgb: torch.Tensor
    depth_m: torch.Tensor
    mask: torch.Tensor
    instance: torch.Tensor
    coverage: torch.Tensor
    first_light: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Lights:
    """Lights of B images, or of one (B = 1), which then holds for all.

    A surface of albedo a and normal n, seen along the unit vector v towards the camera, has the colour
    `a * (ambient + sum_l colors_l * max(0, n . d_l)) + specular * sum_l colors_l * max(0, n . h_l) ** shininess`
    with h_l halfway between d_l and v. Normals are turned towards the camera first.

    Attributes:
        ambient: (B, 3).
        directions: (B, L, 3) in the camera's frame, from the surface towards the light; any length but 0.
        colors: (B, L, 3).
        specular: (B,).
        shininess: (B,).
    """

    ambient: torch.Tensor
    directions: torch.Tensor
    colors: torch.Tensor
    specular: torch.Tensor
    shininess: torch.Tensor

    def __post_init__(self) -> None:
        batch = self.ambient.shape[0]
        count = self.directions.shape[1] if self.directions.ndim == 3 else -1
        wanted = {
            "ambient": (batch, 3),
            "directions": (batch, count, 3),
            "colors": (batch, count, 3),
            "specular": (batch,),
            "shininess": (batch,),
        }
        for key, shape in wanted.items():
            got = tuple(getattr(self, key).shape)
            if got != shape:
                raise ValueError(f"lights: {key} has shape {got}, needed is {shape}")

    @staticmethod
    def head_light(batch: int = 1, device: str | torch.device = "cpu") -> Lights:
        """A white light at the camera: ambient 0.5, diffuse 0.5, a weak highlight."""
        return Lights(
            ambient=torch.full((batch, 3), 0.5, device=device),
            directions=torch.tensor([0.0, 0.0, -1.0], device=device).expand(batch, 1, 3).contiguous(),
            colors=torch.full((batch, 1, 3), 0.5, device=device),
            specular=torch.full((batch,), 0.05, device=device),
            shininess=torch.full((batch,), 20.0, device=device),
        )

    @staticmethod
    def ambient_only(batch: int = 1, device: str | torch.device = "cpu") -> Lights:
        """Light that shows the albedo as it is, without shading."""
        return Lights(
            ambient=torch.ones((batch, 3), device=device),
            directions=torch.zeros((batch, 0, 3), device=device),
            colors=torch.zeros((batch, 0, 3), device=device),
            specular=torch.zeros((batch,), device=device),
            shininess=torch.ones((batch,), device=device),
        )


@dataclass(frozen=True, eq=False)
class Materials:
    """How N instances look beyond their meshes' own colours and the lights' common gloss.

    Attributes:
        mix, shift: (N, 3, 3) and (N, 3): albedo a becomes `clamp(mix @ a + shift, 0, 1)`.
        specular, shininess: (N,), in place of the lights' own.
    """

    mix: torch.Tensor
    shift: torch.Tensor
    specular: torch.Tensor
    shininess: torch.Tensor

    def __post_init__(self) -> None:
        count = len(self.specular)
        wanted = {"mix": (count, 3, 3), "shift": (count, 3), "specular": (count,), "shininess": (count,)}
        for key, shape in wanted.items():
            got = tuple(getattr(self, key).shape)
            if got != shape:
                raise ValueError(f"materials: {key} has shape {got}, needed is {shape}")

    @staticmethod
    def plain(count: int) -> Materials:
        """Surfaces as their meshes say, without gloss."""
        return Materials(
            torch.eye(3).repeat(count, 1, 1), torch.zeros(count, 3), torch.zeros(count), torch.ones(count)
        )

    def take(self, rows: torch.Tensor) -> Materials:
        """The materials of some instances."""
        return Materials(self.mix[rows], self.shift[rows], self.specular[rows], self.shininess[rows])

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> Materials:
        """On another device, contiguous."""
        parts = (self.mix, self.shift, self.specular, self.shininess)
        return Materials(*(part.detach().to(device=device, dtype=dtype).contiguous() for part in parts))


class Renderer(Protocol):
    """Renders known meshes at given poses. Pixel centres are at integer coordinates; the near plane is at 1 mm, and
    triangles that cross it are clipped; back faces are drawn too. Calls may come from several threads."""

    device: torch.device
    num_objects: int

    def render(
        self,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None = None,
    ) -> Rendering:
        """One object in each image.

        Args:
            object_index: (B,) integer, which mesh.
            cam_from_obj: (B, 4, 4), metres, OpenCV's camera frame.
            K: (B, 3, 3) intrinsics, pixels.
            size: (H, W).
            lights: of B images or one; None is `Lights.head_light()`.

        Raises:
            ValueError: wrong shapes, an unknown object, NaN.
        """
        ...

    def render_scenes(
        self,
        image_index: torch.Tensor,
        object_index: torch.Tensor,
        cam_from_obj: torch.Tensor,
        K: torch.Tensor,
        size: tuple[int, int],
        lights: Lights | None = None,
        materials: Materials | None = None,
    ) -> Rendering:
        """Any number of objects in each image, which hide each other.

        Args:
            image_index: (N,) integer, the image 0..B-1 that each instance is in; an image may have none.
            object_index: (N,) integer, which mesh.
            cam_from_obj: (N, 4, 4).
            K: (B, 3, 3).
            size: (H, W).
            lights: of B images or one; None is `Lights.head_light()`.
            materials: of the N instances; with them the result has `first_light`. The warp backend alone has them.

        Raises:
            ValueError: wrong shapes, an unknown object or image, NaN, materials that the backend lacks.
        """
        ...
