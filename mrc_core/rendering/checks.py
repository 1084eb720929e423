"""What both renderers demand of their input."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mrc_core.rendering.interface import Lights, Materials


@dataclass(frozen=True)
class SceneInput:
    """Checked input on one device: image_index (N,) int32, object_index (N,) int32, cam_from_obj (N, 4, 4) float32,
    K (B, 3, 3) float32, lights of 1 or B images and materials of N instances in float32."""

    image_index: torch.Tensor
    object_index: torch.Tensor
    cam_from_obj: torch.Tensor
    K: torch.Tensor
    lights: Lights
    height: int
    width: int
    materials: Materials | None = None


def check_scene(
    image_index: torch.Tensor | None,
    object_index: torch.Tensor,
    cam_from_obj: torch.Tensor,
    K: torch.Tensor,
    size: tuple[int, int],
    lights: Lights | None,
    num_objects: int,
    device: torch.device,
    materials: Materials | None = None,
) -> SceneInput:
    """Check shapes and values and move all to the device; `image_index` None is one instance in each image.

    Raises:
        ValueError: with the shape or value that is wrong.
    """
    height, width = int(size[0]), int(size[1])
    if height < 1 or width < 1:
        raise ValueError(f"size is (height, width), at least 1 pixel each, not {tuple(size)}")
    if K.ndim != 3 or tuple(K.shape[1:]) != (3, 3) or len(K) == 0:
        raise ValueError(f"K has shape {tuple(K.shape)}, needed is (B, 3, 3) with B > 0")
    count, images = len(object_index), len(K)
    if object_index.ndim != 1 or object_index.dtype.is_floating_point:
        raise ValueError(f"object_index has shape {tuple(object_index.shape)} and type {object_index.dtype}, "
                         "needed is (N,) of integers")  # fmt: skip
    if tuple(cam_from_obj.shape) != (count, 4, 4):
        raise ValueError(f"cam_from_obj has shape {tuple(cam_from_obj.shape)}, needed is ({count}, 4, 4)")
    if image_index is None:
        if count != images:
            raise ValueError(
                f"{count} objects and {images} intrinsics: render() draws one object in each image"
            )
        image_index = torch.arange(images, dtype=torch.int32, device=device)
    elif tuple(image_index.shape) != (count,) or image_index.dtype.is_floating_point:
        raise ValueError(f"image_index has shape {tuple(image_index.shape)} and type {image_index.dtype}, "
                         f"needed is ({count},) of integers")  # fmt: skip
    _check_range(object_index, num_objects, "object_index", "object")
    _check_range(image_index, images, "image_index", "image")
    for key, value in (("cam_from_obj", cam_from_obj), ("K", K)):
        # The sum is NaN or infinite as soon as one element is; it is much cheaper than isfinite().all().
        if not torch.isfinite(value.detach().sum(dtype=torch.float64)):
            raise ValueError(f"{key} contains NaN or infinite values")
    lights = Lights.head_light(1, device) if lights is None else lights
    if len(lights.ambient) not in (1, images):
        raise ValueError(f"lights are for {len(lights.ambient)} images, needed is 1 or {images}")
    if materials is not None and len(materials.specular) != count:
        raise ValueError(f"{len(materials.specular)} materials for {count} instances: each needs its own")
    return SceneInput(
        image_index=_moved(image_index, device, torch.int32),
        object_index=_moved(object_index, device, torch.int32),
        cam_from_obj=_moved(cam_from_obj, device, torch.float32),
        K=_moved(K, device, torch.float32),
        lights=Lights(
            *(
                _moved(getattr(lights, key), device, torch.float32)
                for key in ("ambient", "directions", "colors", "specular", "shininess")
            )
        ),
        height=height,
        width=width,
        materials=None if materials is None else materials.to(device),
    )


def _check_range(index: torch.Tensor, limit: int, key: str, what: str) -> None:
    if len(index) == 0:
        return
    low, high = index.min().item(), index.max().item()
    if low < 0 or high >= limit:
        raise ValueError(
            f"{key} has values {low} to {high}, but there are only {limit} {what}s (0 to {limit - 1})"
        )


def _moved(value: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return value.detach().to(device=device, dtype=dtype).contiguous()
