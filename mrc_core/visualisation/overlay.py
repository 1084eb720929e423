"""Contours and axes of estimated objects, drawn into the image that they were estimated from."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

AXIS_COLOURS = ((230, 50, 50), (50, 200, 60), (60, 110, 255))  # x, y, z in RGB
_SUBPIXEL_BITS = 4


class PosedObject(Protocol):
    """What is drawn: a class and its pose (4, 4), metres, camera's optical frame; a PoseEstimate is one."""

    @property
    def class_id(self) -> str: ...

    @property
    def cam_from_obj(self) -> NDArray[np.float64]: ...


class MaskRenderer(Protocol):
    """What is needed of a Renderer: its ``render`` gives something with ``mask`` (B, H, W)."""

    def render(
        self, object_index: torch.Tensor, cam_from_obj: torch.Tensor, K: torch.Tensor, size: tuple[int, int]
    ) -> Any: ...


def object_colours(count: int) -> list[tuple[int, int, int]]:
    """Distinct, bright RGB colours, the same for the same index whatever the count."""
    golden = 0.61803398875
    hues = [(0.33 + i * golden) % 1.0 for i in range(count)]
    return [_bright(hue) for hue in hues]


def _bright(hue: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_overlay(
    image_rgb_uint8: NDArray[np.uint8],
    K: NDArray[np.float64],
    estimates: Sequence[PosedObject],
    renderer: MaskRenderer,
    object_index_by_class: Mapping[str, int],
    axis_length_m: float = 0.04,
    device: str = "cpu",
    label: bool = True,
) -> NDArray[np.uint8]:
    """A copy of the image with the outline, the axes (x red, y green, z blue) and the class of each estimate.

    Args:
        image_rgb_uint8: (H, W, 3), RGB; left as it is.
        K: (3, 3), of this image.
        estimates: what to draw; a pose that is not finite or not in front of the camera is left out.
        renderer: its meshes stand in the frames that the poses are given for.
        object_index_by_class: the renderer's index of each class; it also chooses the colour.
        axis_length_m: length of the drawn axes, metres.
        device: where the renderer works.
        label: write the class beside the object.

    Raises:
        KeyError: an estimate's class has no index.
    """
    canvas = np.ascontiguousarray(image_rgb_uint8).copy()
    drawable = [e for e in estimates if np.isfinite(e.cam_from_obj).all() and e.cam_from_obj[2, 3] > 0.0]
    if not drawable:
        return canvas
    colours = object_colours(max(object_index_by_class.values()) + 1)
    indices = [object_index_by_class[e.class_id] for e in drawable]
    for estimate, index, mask in zip(
        drawable, indices, _masks(canvas, K, drawable, indices, renderer, device)
    ):
        _draw_outline(canvas, mask, colours[index])
        _draw_axes(canvas, K, estimate.cam_from_obj, axis_length_m)
        if label:
            _draw_label(canvas, K, estimate, colours[index])
    return canvas


def _masks(
    canvas: NDArray[np.uint8],
    K: NDArray[np.float64],
    drawable: Sequence[PosedObject],
    indices: Sequence[int],
    renderer: MaskRenderer,
    device: str,
) -> NDArray[np.uint8]:
    """Silhouettes (B, H, W), 0 or 1."""
    poses = np.stack([e.cam_from_obj for e in drawable]).astype(np.float32)
    matrices = np.broadcast_to(np.asarray(K, dtype=np.float32), (len(drawable), 3, 3)).copy()
    rendering = renderer.render(
        torch.tensor(indices, dtype=torch.int64, device=device),
        torch.from_numpy(poses).to(device),
        torch.from_numpy(matrices).to(device),
        (canvas.shape[0], canvas.shape[1]),
    )
    return np.asarray(rendering.mask.cpu().numpy(), dtype=np.uint8)


def _draw_outline(canvas: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, 2, cv2.LINE_AA)


def _draw_axes(
    canvas: NDArray[np.uint8], K: NDArray[np.float64], pose: NDArray[np.float64], length_m: float
) -> None:
    ends = np.concatenate([np.zeros((1, 3)), length_m * np.eye(3)])
    points = ends @ pose[:3, :3].T + pose[:3, 3]
    if points[:, 2].min() <= 1e-3:
        return
    pixels = points @ np.asarray(K).T
    pixels = pixels[:, :2] / pixels[:, 2:]
    fixed = np.rint(np.clip(pixels, -1e4, 1e4) * (1 << _SUBPIXEL_BITS)).astype(int)
    for end, colour in zip(fixed[1:], AXIS_COLOURS):
        cv2.line(
            canvas, tuple(fixed[0].tolist()), tuple(end.tolist()), colour, 2, cv2.LINE_AA, _SUBPIXEL_BITS
        )


def _draw_label(
    canvas: NDArray[np.uint8], K: NDArray[np.float64], estimate: PosedObject, colour: tuple[int, int, int]
) -> None:
    pixel = np.asarray(K) @ estimate.cam_from_obj[:3, 3]
    corner = np.clip(pixel[:2] / pixel[2], -1e4, 1e4).astype(int) + (8, -8)
    for ink, thickness in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(
            canvas,
            estimate.class_id,
            tuple(corner.tolist()),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            ink,
            thickness,
            cv2.LINE_AA,
        )
