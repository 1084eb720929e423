"""The synchroniser with tracking: which images are handed out without detections, and when."""

from __future__ import annotations

import node_harness as harness  # first: it sets ROS's environment
import pytest
from vision_msgs.msg import Detection2DArray

from mrc_net_ros.synchroniser import Frame, FrameSynchroniser, stamp_ns


class Inputs:
    """A synchroniser, and what it has handed out: stamp [s], whether with detections, whether late."""

    def __init__(self, tracking: str, slop_s: float = 0.0) -> None:
        self.frames: list[Frame] = []
        self.joined = FrameSynchroniser(self.frames.append, 5, slop_s, tracking)
        self.joined.add_camera_info(harness.camera_info(harness.header(0.0)))

    def image(self, stamp_s: float) -> list[tuple[float, bool, bool]]:
        self.joined.add_image(harness.compressed_image(harness.header(stamp_s), harness.picture()[:8, :8].copy()))
        return self.taken()

    def detections(self, stamp_s: float) -> list[tuple[float, bool, bool]]:
        self.joined.add_detections(Detection2DArray(header=harness.header(stamp_s)))
        return self.taken()

    def taken(self) -> list[tuple[float, bool, bool]]:
        out = [(stamp_ns(f.image.header.stamp) / 1e9, f.detections is not None, f.is_late) for f in self.frames]
        self.frames.clear()
        return out


@pytest.mark.parametrize("slop_s", [0.0, 0.01])
def test_without_tracking_images_wait_for_their_detections(slop_s: float) -> None:
    inputs = Inputs("off", slop_s)
    assert inputs.image(1.0) == inputs.image(1.1) == []
    inputs.joined.flush()
    assert inputs.taken() == []
    assert [stamp for stamp, _, _ in inputs.detections(1.0)] in ([1.0], [])  # with slop it waits for a nearer one


def test_between_detections_an_image_waits_until_the_next_one() -> None:
    inputs = Inputs("between_detections")
    assert inputs.image(1.0) == []
    assert inputs.detections(1.0) == [(1.0, True, False)]
    assert inputs.image(1.1) == []
    assert inputs.image(1.2) == [(1.1, False, False)]
    assert inputs.detections(1.3) == []
    assert inputs.image(1.3) == [(1.2, False, False), (1.3, True, False)]
    inputs.joined.flush()
    assert inputs.taken() == []
    assert inputs.image(1.4) == []
    inputs.joined.flush()
    assert inputs.taken() == [(1.4, False, False)]
    assert inputs.detections(1.2) == [(1.2, True, True)]


def test_with_every_frame_no_image_waits() -> None:
    inputs = Inputs("every_frame")
    assert inputs.image(1.0) == [(1.0, False, False)]
    assert inputs.image(1.1) == [(1.1, False, False)]
    assert inputs.detections(1.0) == [(1.0, True, True)]
    assert inputs.detections(1.2) == []
    assert inputs.image(1.2) == [(1.2, True, False)]


@pytest.mark.parametrize("tracking", ["between_detections", "every_frame"])
def test_a_jump_back_starts_an_epoch_and_forgets_what_waits(tracking: str) -> None:
    inputs = Inputs(tracking)
    epochs: list[tuple[float, int]] = []
    inputs.joined._on_frame = lambda frame: epochs.append((stamp_ns(frame.image.header.stamp) / 1e9, frame.epoch))
    for stamp_s in (10.0, 10.1, 1.0):
        inputs.image(stamp_s)
    inputs.joined.flush()
    waited = [] if tracking == "between_detections" else [(10.1, 0)]
    assert epochs == [(10.0, 0), *waited, (1.0, 1)]
    inputs.detections(1.0)
    assert epochs[-1] == (1.0, 1)


def test_without_a_camera_info_an_image_is_not_handed_out_alone() -> None:
    frames: list[Frame] = []
    joined = FrameSynchroniser(frames.append, 5, 0.0, "every_frame")
    joined.add_image(harness.compressed_image(harness.header(1.0), harness.picture()[:8, :8].copy()))
    assert frames == []
