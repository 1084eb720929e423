"""Pictures of a played bag: each image with the estimated objects drawn in, as an animation and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from sensor_msgs.msg import CompressedImage

from mrc_core.visualisation import draw_overlay
from mrc_core.visualisation.overlay import MaskRenderer
from mrc_net_ros.bag_player import PlayedFrame
from mrc_net_ros.conversions import intrinsics, matrix_from_pose, rgb_from_compressed, rgb_from_image

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class _Posed:
    class_id: str
    cam_from_obj: NDArray[np.float64]


def overlays(
    played: Sequence[PlayedFrame], renderer: MaskRenderer, object_index_by_class: Mapping[str, int]
) -> Iterator[Picture]:
    """Each frame's picture (H, W, 3), RGB, with what was estimated; as it was taken where no poses came.

    Args:
        renderer: on the CPU; its meshes stand in the frames that the poses are given for.
        object_index_by_class: the renderer's index of each class.
    """
    for one in played:
        image = one.frame.image.message
        rgb = rgb_from_compressed(image) if isinstance(image, CompressedImage) else rgb_from_image(image)
        matrix = intrinsics(one.frame.camera_info.message, (rgb.shape[0], rgb.shape[1]), rectified=True)
        poses = one.poses.poses if one.poses is not None else []
        posed = [_Posed(pose.class_id, matrix_from_pose(pose.pose.pose)) for pose in poses]
        yield draw_overlay(rgb, matrix, posed, renderer, object_index_by_class)


def evenly(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """At most ``count`` of the pictures, spread evenly from the first to the last."""
    places = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int))
    return [pictures[i] for i in places]


def write_animation(path: Path, pictures: Sequence[Picture], rate_hz: float) -> None:
    """Writes an animated WebP, which browsers show, at this many pictures a second."""
    first, *others = [PilImage.fromarray(picture) for picture in pictures]
    period_ms = round(1000 / rate_hz)
    first.save(path, save_all=True, append_images=others, duration=period_ms, loop=0, quality=75, method=2)


def write_contact_sheet(
    path: Path, pictures: Sequence[Picture], columns: int = 3, width_px: int = 480
) -> None:
    """Writes the pictures, all of one size, side by side as PNG; missing places of the last row stay dark."""
    height_px = round(pictures[0].shape[0] * width_px / pictures[0].shape[1])
    small = [cv2.resize(p, (width_px, height_px), interpolation=cv2.INTER_AREA) for p in pictures]
    rows = -(-len(small) // columns)
    sheet = np.full((rows * height_px, min(columns, len(small)) * width_px, 3), 24, dtype=np.uint8)
    for i, picture in enumerate(small):
        top, left = i // columns * height_px, i % columns * width_px
        sheet[top : top + height_px, left : left + width_px] = picture
    PilImage.fromarray(sheet).save(path, optimize=True)
