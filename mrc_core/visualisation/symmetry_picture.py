"""A picture to tell by eye whether an object looks the same after a turn: before, after, and the difference."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

PANEL_PX = 260
COLUMNS = ("as it is", "after the turn", "difference")
_TILTS_DEG = (35.0, 82.0, 145.0)  # of the line of sight from the axis: from above, from the side, from below
_DISTANCE = 4.0  # of the camera, diameters
_FILL = 0.78  # of a panel's side that the diameter takes
_MARGIN_PX, _LINE_PX = 8, 17
_INK, _GREY, _AXIS = (25, 25, 25), (120, 120, 120), (200, 40, 160)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CHARACTER_PX = 7.1  # mean width of the font at the size used


class PoseRenderer(Protocol):
    """What is needed of a Renderer: its `render` gives rgb (B, 3, H, W) and coverage (B, H, W)."""

    def render(
        self, object_index: torch.Tensor, cam_from_obj: torch.Tensor, K: torch.Tensor, size: tuple[int, int]
    ) -> Any: ...


def draw_symmetry(
    renderer: PoseRenderer,
    object_index: int,
    vertices: NDArray[np.float32],
    axis: Sequence[float],
    offset: Sequence[float],
    turn: Array,
    lines: Sequence[str],
) -> Picture:
    """An object from three sides, as it is and after a turn; the axis is drawn, and what differs is red.

    Args:
        renderer: of meshes in their own frames, on the CPU.
        object_index: which of its meshes.
        vertices: of that mesh (V, 3), metres.
        axis, offset: direction of the axis and a point on it (metres), in the mesh's frame.
        turn: obj_from_obj (4, 4), metres.
        lines: text above the picture; long lines are broken.

    Returns:
        RGB (H, W, 3) uint8.
    """
    middle = (vertices.min(axis=0) + vertices.max(axis=0)).astype(np.float64) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=1).max())
    poses = np.stack([_view(np.asarray(axis, float), middle, radius, tilt) for tilt in _TILTS_DEG])
    focal = _FILL * PANEL_PX * _DISTANCE  # a length at the object's middle, over the diameter, in px
    K = np.array([[focal, 0, (PANEL_PX - 1) / 2], [0, focal, (PANEL_PX - 1) / 2], [0, 0, 1]])
    pictures = _rendered(renderer, object_index, np.concatenate([poses, poses @ turn]), K)
    rows = []
    for pose, before, after in zip(poses, pictures[: len(poses)], pictures[len(poses) :]):
        panels = [
            _with_axis(_bytes(before), pose, K, axis, offset, radius),
            _bytes(after),
            _difference(before, after),
        ]
        rows.append(np.concatenate(panels, axis=1))
    grid = np.concatenate(rows, axis=0)
    return np.concatenate([_header(lines, grid.shape[1]), grid], axis=0)


def _view(axis: Array, middle: Array, radius: float, tilt_deg: float) -> Array:
    """cam_from_obj (4, 4) that looks at the middle at an angle to the axis, which points up in the picture."""
    up = axis / np.linalg.norm(axis)
    across = np.eye(3)[int(np.abs(up).argmin())]
    across = across - up * (across @ up)
    across /= np.linalg.norm(across)
    # seen from a little beside the plane of a coordinate axis, so that corners and faces show
    across = math.cos(0.45) * across + math.sin(0.45) * np.cross(up, across)
    tilt = math.radians(tilt_deg)
    forward = -(math.cos(tilt) * up + math.sin(tilt) * across)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -rotation @ middle + [0, 0, _DISTANCE * 2 * radius]
    return pose


def _rendered(renderer: PoseRenderer, object_index: int, poses: Array, K: Array) -> NDArray[np.float32]:
    """RGB (B, H, W, 3), 0..1, before white."""
    count = len(poses)
    rendering = renderer.render(
        torch.full((count,), object_index, dtype=torch.int64),
        torch.from_numpy(poses).float(),
        torch.from_numpy(K).float().expand(count, 3, 3).contiguous(),
        (PANEL_PX, PANEL_PX),
    )
    rgb = rendering.rgb + (1 - rendering.coverage[:, None])
    return np.asarray(rgb.clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy(), dtype=np.float32)


def _bytes(picture: NDArray[np.float32]) -> Picture:
    return np.round(255 * picture).astype(np.uint8)


def _difference(before: NDArray[np.float32], after: NDArray[np.float32]) -> Picture:
    """A pale picture, the redder the more two pictures differ."""
    difference = np.abs(before - after).max(axis=2, keepdims=True)
    pale = 0.75 + 0.25 * before.mean(axis=2, keepdims=True)
    strength = np.clip(1.6 * difference, 0, 1)
    return _bytes(pale * (1 - strength) + strength * np.array([0.85, 0.0, 0.05], dtype=np.float32))


def _with_axis(
    picture: Picture, pose: Array, K: Array, axis: Sequence[float], offset: Sequence[float], radius: float
) -> Picture:
    """The picture with the axis through the object, its positive end marked."""
    direction = np.asarray(axis, float) / np.linalg.norm(axis)
    middle = np.linalg.inv(pose)[:3] @ [0, 0, _DISTANCE * 2 * radius, 1]
    nearest = np.asarray(offset) + direction * ((middle - offset) @ direction)
    ends = nearest + np.array([[-1.15], [1.15]]) * radius * direction
    pixels = (ends @ pose[:3, :3].T + pose[:3, 3]) @ K.T
    low, high = np.round(pixels[:, :2] / pixels[:, 2:]).astype(int).tolist()
    canvas = np.ascontiguousarray(picture)
    cv2.line(canvas, low, high, _AXIS, 1, cv2.LINE_AA)
    cv2.circle(canvas, high, 3, _AXIS, -1, cv2.LINE_AA)
    return canvas


def _header(lines: Sequence[str], width: int) -> Picture:
    """Text, then the names of the columns, on white."""
    room = int((width - 2 * _MARGIN_PX) / _CHARACTER_PX)
    text = [part for line in lines for part in textwrap.wrap(line, room)]
    height = _MARGIN_PX + _LINE_PX * (len(text) + 1) + _MARGIN_PX
    canvas = np.full((height, width, 3), 255, np.uint8)
    for number, line in enumerate(text, start=1):
        at = (_MARGIN_PX, _MARGIN_PX + number * _LINE_PX - 5)
        cv2.putText(canvas, line, at, _FONT, 0.42, _INK, 1, cv2.LINE_AA)
    for column, name in enumerate(COLUMNS):
        at = (_MARGIN_PX + column * PANEL_PX, height - _MARGIN_PX)
        cv2.putText(canvas, name, at, _FONT, 0.42, _GREY, 1, cv2.LINE_AA)
    return canvas
