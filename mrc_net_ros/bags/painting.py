"""Draws the poses of each evaluated frame into its image, for the video, the contact sheet and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from mrc_core.visualisation import draw_overlay
from mrc_core.visualisation.overlay import MaskRenderer
from mrc_net_ros.bags.answers import Answer
from mrc_net_ros.bags.replay import ReplayedFrame
from mrc_net_ros.bags.video import EvenSample, Picture, VideoWriter
from mrc_net_ros.conversions import matrix_from_pose
from mrc_net_ros.images import rgb_from_compressed, rgb_from_image
from mrc_net_ros.rectification import CameraModels
from mrc_net_ros.unusable_input import UnusableInput

STILLS = 12


@dataclass(frozen=True)
class _Posed:
    class_id: str
    cam_from_obj: NDArray[np.float64]


class Painter:
    """Shown every frame with its answer, it writes the video and keeps some stills.

    Args:
        renderer: on the CPU; its meshes stand in the frames that the poses are given for.
        index_by_class: the renderer's index of each class.
        rectified: as the node's parameter.
        video: where the pictures go.
    """

    def __init__(
        self, renderer: MaskRenderer, index_by_class: Mapping[str, int], rectified: bool, video: VideoWriter
    ) -> None:
        self._renderer, self._index, self._rectified, self._video = renderer, index_by_class, rectified, video
        self._stills: EvenSample[Picture] = EvenSample(STILLS)
        self._models = CameraModels()

    @property
    def stills(self) -> list[Picture]:
        """Some of the pictures, evenly spread."""
        return self._stills.kept

    def __call__(self, replayed: ReplayedFrame, answer: Answer) -> None:
        """Draws one frame; an image that cannot be used is left out."""
        try:
            picture = self._picture(replayed, answer)
        except UnusableInput:
            return
        self._video.write(picture)
        self._stills.add(picture)

    def _picture(self, replayed: ReplayedFrame, answer: Answer) -> Picture:
        image = replayed.frame.image
        rgb = rgb_from_compressed(image) if isinstance(image, CompressedImage) else rgb_from_image(image)
        if answer.poses is None or not answer.poses.poses:
            return rgb
        size = (int(rgb.shape[0]), int(rgb.shape[1]))
        camera = self._models.find(replayed.frame.camera_info, size, self._rectified)
        posed = [_Posed(p.class_id, matrix_from_pose(p.pose.pose)) for p in answer.poses.poses]
        return draw_overlay(camera.undistorted(rgb), camera.K, posed, self._renderer, self._index)
