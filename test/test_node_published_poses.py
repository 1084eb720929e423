"""Which pose is published, over real DDS: of equivalent ones the nearest; with its own score and covariance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import rclpy
from scripted_network import at
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from mrc_core.inference import PoseEstimate
from mrc_net_ros.conversions import matrix_from_pose

BOX = (240.0, 170.0, 400.0, 310.0)


class Network:
    """Says what it is told, of any picture."""

    def __init__(self) -> None:
        self.pose, self.score, self.covariance = at(0.0, 0.0, 1.0), 0.7, np.eye(6)

    def estimate_batch(self, frames: list[Any]) -> list[list[PoseEstimate]]:
        return [
            [PoseEstimate(d.class_id, self.pose, self.score, self.covariance, d, True) for d in detections]
            for _, _, detections in frames
        ]


@pytest.fixture(scope="module")
def rig(tiny_bundle: Path) -> Iterator[harness.Rig]:
    """A node without tracking."""
    rclpy.init()
    rig = harness.Rig("/published", ["wedge", "disc"], bundle=str(tiny_bundle), device="cpu", image_qos="reliable")
    rig.wait_ready()
    yield rig
    rig.close()
    rclpy.try_shutdown()


@pytest.fixture
def network(rig: harness.Rig, monkeypatch: pytest.MonkeyPatch) -> Network:
    """In the place of the rig's network."""
    network = Network()
    monkeypatch.setattr(rig.node._estimation._work.bundle.estimator, "estimate_batch", network.estimate_batch)
    return network


def _spun(angle: float) -> np.ndarray:
    """A tilted pose, turned about the object's z."""
    cos, sin, tilt = math.cos(angle), math.sin(angle), math.pi / 3
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    tilted = np.array(
        [[1.0, 0.0, 0.0], [0.0, math.cos(tilt), -math.sin(tilt)], [0.0, math.sin(tilt), math.cos(tilt)]]
    )
    pose = at(0.05, -0.02, 0.9)
    pose[:3, :3] = tilted @ turn
    return pose


def _published(rig: harness.Rig, class_id: str, stamp_s: float) -> tuple[Header, np.ndarray]:
    head = rig.send(stamp_s, [harness.detection(class_id, BOX)])
    (pose,) = rig.answer(head).poses
    return head, matrix_from_pose(pose.pose.pose)


def test_an_object_of_revolution_does_not_spin_and_others_do(rig: harness.Rig, network: Network) -> None:
    for class_id, start_s in (("disc", 10.0), ("wedge", 20.0)):
        for i, angle in enumerate((0.0, 2.0, -1.3, 3.0)):
            network.pose = _spun(angle)
            head, pose = _published(rig, class_id, start_s + 0.1 * i)
            expected = _spun(0.0) if class_id == "disc" else network.pose
            np.testing.assert_allclose(pose, expected, atol=1e-5)
            (transform,) = rig.transforms_of(head)
            turned = transform.transform.rotation
            found = rig.best[class_id]
            rig.wait_for(lambda h=head, f=found: any(m.header == h for m in list(f)), "best pose")
            (best,) = [m for m in found if m.header == head]
            assert best.pose.orientation == turned  # TF and pose/<class> tell the same


def test_score_and_covariance_are_the_networks_own(rig: harness.Rig, network: Network) -> None:
    boxes = rig.received(Detection3DArray, "detections_3d")
    rig.wait_for(lambda: rig.peer.count_publishers("detections_3d") == 1, "publisher")
    root = np.random.default_rng(1).normal(size=(6, 6)) * 1e-2
    network.covariance, network.score = root @ root.T, 0.31
    head = rig.send(30.0, [harness.detection("wedge", BOX, 0.8)])
    (pose,) = rig.answer(head).poses
    np.testing.assert_allclose(np.reshape(pose.pose.covariance, (6, 6)), network.covariance)
    assert (round(pose.score, 5), round(pose.detection_score, 5)) == (0.31, 0.8)
    rig.wait_for(lambda: any(m.header == head for m in list(boxes)), "detections_3d")
    (message,) = [m for m in boxes if m.header == head]
    (result,) = message.detections[0].results
    np.testing.assert_allclose(np.reshape(result.pose.covariance, (6, 6)), network.covariance)
    assert result.hypothesis.score == pytest.approx(0.31)
    network.covariance = None
    (pose,) = rig.answer(rig.send(30.1, [harness.detection("wedge", BOX)])).poses
    assert not np.any(pose.pose.covariance)  # zeros: it is not known
