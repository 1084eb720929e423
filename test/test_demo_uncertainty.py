"""What the shipped bundle states of its poses, on the recorded bag: scores that tell right from wrong, and regions that
hold the true pose as often as they say."""

from __future__ import annotations

import node_harness  # noqa: F401 - first: it sets ROS's environment
from conftest import ROOT

from mrc_core.inference import PoseEstimator
from mrc_net_ros.bag_frames import read_frames
from mrc_net_ros.bag_player import PlayedFrame
from mrc_net_ros.bag_scores import PoseJudge, calibration_figures, judge
from mrc_net_ros.frame_estimation import estimate_frame
from mrc_net_ros.parameters import NodeSettings
from mrc_net_ros.pose_messages import pose_array_message
from mrc_net_ros.synchroniser import Frame

EVERY = 2  # frames: half of the bag, for the time that a test may take


def test_the_90_percent_regions_hold_80_to_97_percent_of_the_true_poses() -> None:
    estimator, settings = PoseEstimator.from_bundle(ROOT / "demo/bundle", device="cpu"), NodeSettings()
    judges = {item.class_id: PoseJudge(item.mesh, item.symmetries) for item in estimator.bundle.objects}
    played = []
    for recorded in read_frames(ROOT / "demo/bag")[::EVERY]:
        frame = Frame(recorded.image.message, recorded.detections.message, recorded.camera_info.message)
        answer = pose_array_message(estimate_frame(frame, estimator, settings))
        played.append(PlayedFrame(recorded, answer, None))
    figures = calibration_figures(judge(played, judges))
    assert figures is not None
    assert figures["poses"] > 120
    assert 0.80 <= figures["in_90_percent_region"] <= 0.97
    assert figures["auroc"] > 0.75
    assert figures["ece"] < 0.15
