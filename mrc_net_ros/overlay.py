"""The image with the outlines of the estimated objects, for people who look on."""

from __future__ import annotations

import array
import sys

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from mrc_core.rendering import create_renderer
from mrc_core.visualisation import draw_overlay
from mrc_net_ros.loaded_bundle import LoadedBundle
from mrc_net_ros.prepared_frame import FrameResult


class OverlayPainter:
    """Draws with a renderer of a bundle's meshes, which takes a moment and memory to make: make it when needed."""

    def __init__(self, bundle: LoadedBundle) -> None:
        device = str(bundle.estimator.device)
        meshes = [item.model.mesh for item in bundle.objects.values()]
        self._renderer = create_renderer("warp", meshes, device=device)
        self._device = device
        self._index = {class_id: i for i, class_id in enumerate(bundle.objects)}

    def message(self, result: FrameResult) -> Image:
        """The undistorted image of the frame, rgb8, with outline, axes and class of each pose, and its header."""
        estimates = [instance.estimate for instance in result.instances]
        frame = result.frame
        picture = draw_overlay(
            frame.camera.undistorted(frame.rgb), frame.K, estimates, self._renderer, self._index, device=self._device
        )
        return image_message(result.header, picture)


def image_message(header: Header, rgb: NDArray[np.uint8]) -> Image:
    """The message of a picture (H, W, 3), RGB."""
    data = array.array("B")  # the setter takes any other sequence byte by byte
    data.frombytes(np.ascontiguousarray(rgb).data.cast("B"))
    height, width = int(rgb.shape[0]), int(rgb.shape[1])
    return Image(
        header=header,
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=int(sys.byteorder == "big"),
        step=3 * width,
        data=data,
    )
