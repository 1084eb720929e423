"""The bundle that is shipped: small enough, with its provenance, and good on the recorded bag."""

import cv2
import node_harness  # noqa: F401  (sets the ROS environment before ROS is imported)
import numpy as np
import pytest
from conftest import ROOT

from mrc_core.inference import Bundle, Detection, PoseEstimator
from mrc_net_ros.bag_frames import read_frames
from mrc_net_ros.bag_scores import WITHIN_DIAMETERS, PoseJudge
from mrc_net_ros.conversions import matrix_from_pose

PATH = ROOT / "demo" / "bundle"
EVERY = 9  # frames: a sample of the bag, for the time that a test may take


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(PATH)


def test_it_is_small_and_tells_where_it_comes_from(bundle):
    assert sum(f.stat().st_size for f in PATH.rglob("*") if f.is_file()) <= 25e6
    assert bundle.class_ids == ["tea_box", "bracket", "toolbox", "flask"]
    assert {"version", "commit", "data", "step", "samples_seen", "history", "validation"} <= set(bundle.provenance)
    assert bundle.provenance["validation"]["samples"] >= 256


def test_its_scores_are_fitted_for_the_rounds_that_its_poses_have(bundle):
    assert bundle.config.rounds == bundle.calibration.rounds == 2
    assert bundle.calibration.tracked_after(2) is bundle.calibration.tracked_in_rounds is not None
    assert bundle.calibration.tracked_after(1) is bundle.calibration.tracked


def test_its_meshes_are_the_demos_objects(bundle):
    from mrc_core.data.object_set import load_objects

    for ours, theirs in zip(bundle.objects, load_objects(ROOT / "demo" / "objects")):
        assert ours.class_id == theirs.class_id
        assert np.allclose(ours.mesh.vertices, theirs.mesh.vertices, atol=1e-6)
        assert ours.symmetries.to_bop() == theirs.symmetries.to_bop()


def test_it_is_right_for_most_visible_objects_of_the_bag(bundle):
    estimator = PoseEstimator.from_bundle(PATH)
    judges = {item.class_id: PoseJudge(item.mesh, item.symmetries) for item in bundle.objects}
    right = []
    for frame in read_frames(ROOT / "demo" / "bag")[::EVERY]:
        bgr = cv2.imdecode(np.frombuffer(frame.image.message.data, np.uint8), cv2.IMREAD_COLOR)
        K = np.array(frame.camera_info.message.k).reshape(3, 3)
        for detection, truth in zip(frame.detections.message.detections, frame.ground_truth.message.detections):
            hypothesis = truth.results[0]
            if hypothesis.hypothesis.score < 0.3:
                continue
            at, half = detection.bbox.center.position, (detection.bbox.size_x / 2, detection.bbox.size_y / 2)
            box = (at.x - half[0], at.y - half[1], at.x + half[0], at.y + half[1])
            found = Detection(hypothesis.hypothesis.class_id, box, 1.0)
            (estimate,) = estimator.estimate(np.ascontiguousarray(bgr[..., ::-1]), K, [found])
            judge = judges[found.class_id]
            errors = judge.errors(estimate.cam_from_obj, matrix_from_pose(hypothesis.pose.pose))
            right.append(errors.add_m < WITHIN_DIAMETERS * judge.diameter_m)
    assert len(right) >= 25
    assert np.mean(right) >= 0.5
