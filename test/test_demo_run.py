"""The demo's runner on a small bag whose right answers are known: it counts, associates and judges as it says."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
from PIL import Image as PilImage
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage
from vision_msgs.msg import (
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from demo.recording.vision_messages import vision_types
from mrc_core.inference import Bundle, Detection, PoseEstimator
from mrc_net_ros.bag_frames import BagError, BagTopics, read_frames
from mrc_net_ros.bag_report import PlayedBag, headline_rows, summarise
from mrc_net_ros.bag_scores import Judged, PoseJudge, calibration_figures, recall_by_visibility
from mrc_net_ros.conversions import pose_from_matrix

ROOT = Path(__file__).resolve().parent.parent
BOXES = [(100.0, 90.0, 220.0, 230.0), (300.0, 200.0, 390.0, 310.0), (420.0, 120.0, 600.0, 260.0)]
NO_BOX = (float("nan"), 90.0, 220.0, 230.0)
TYPES = {
    BagTopics.image: CompressedImage,
    BagTopics.camera_info: CameraInfo,
    BagTopics.detections: Detection2DArray,
    BagTopics.ground_truth: Detection3DArray,
}


@dataclass(frozen=True)
class Seen:
    """One detection of the small bag: the ground truth is the estimator's own pose, moved along x by this much."""

    class_id: str
    box: tuple[float, float, float, float]
    moved_m: float = 0.0
    visible: float = 1.0


def write_bag(path: Path, frames: Sequence[Sequence[Seen]], estimator: PoseEstimator) -> None:
    """Writes a bag with these detections; the n-th frame's picture is the n-th random one."""
    typestore = get_typestore(Stores.ROS2_HUMBLE)
    typestore.register(vision_types())
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {
            topic: writer.add_connection(topic, _type_name(kind), typestore=typestore)
            for topic, kind in TYPES.items()
        }
        for number, seen in enumerate(frames):
            head = harness.header(100.0 + 0.1 * number)
            rgb = harness.picture(number)
            messages = {
                BagTopics.image: harness.compressed_image(head, rgb),
                BagTopics.camera_info: harness.camera_info(head),
                BagTopics.detections: Detection2DArray(
                    header=head, detections=[harness.detection(s.class_id, s.box) for s in seen]
                ),
                BagTopics.ground_truth: Detection3DArray(
                    header=head, detections=[_truth(s, rgb, estimator) for s in seen]
                ),
            }
            stamp_ns = round(harness.seconds(head.stamp) * 1e9)
            for topic, message in messages.items():
                writer.write(connections[topic], stamp_ns, serialize_message(message))


def _type_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def _truth(seen: Seen, rgb: np.ndarray, estimator: PoseEstimator) -> Detection3D:
    pose = np.eye(4)
    if seen.class_id in estimator.class_ids and np.isfinite(seen.box).all():
        (estimate,) = estimator.estimate(rgb, harness.K, [Detection(seen.class_id, seen.box, 0.9)])
        pose = estimate.cam_from_obj.copy()
    pose[0, 3] += seen.moved_m
    result = ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=seen.class_id, score=seen.visible))
    result.pose.pose = pose_from_matrix(pose)
    return Detection3D(results=[result])


def run_demo(bundle: Path, bag: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Runs the demo as `make demo` does."""
    command = [sys.executable, str(ROOT / "demo/run_demo.py"), "--bundle", str(bundle), "--bag", str(bag)]
    command += ["--output", str(output), "--device", "cpu", "--rate", "50", *more]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, env=os.environ, check=False
    )


@pytest.fixture(scope="module")
def estimator(tiny_bundle: Path) -> PoseEstimator:
    """The estimator that the node will use."""
    return PoseEstimator.from_bundle(tiny_bundle, device="cpu")


def test_summary_pictures_and_table(tmp_path: Path, tiny_bundle: Path, estimator: PoseEstimator) -> None:
    bundle = Bundle.load(tiny_bundle)
    first, last = bundle.objects[0], bundle.objects[-1]
    a, b, shift = first.class_id, last.class_id, last.mesh.diameter
    frames = [
        [Seen(a, BOXES[0]), Seen(b, BOXES[1]), Seen(a, BOXES[2])],
        [Seen(a, BOXES[0]), Seen(b, BOXES[1], moved_m=shift), Seen(a, BOXES[2], moved_m=shift, visible=0.2)],
        [Seen(a, BOXES[0]), Seen(b, NO_BOX), Seen(a, BOXES[2])],
    ]
    write_bag(tmp_path / "bag", frames, estimator)
    output = tmp_path / "out"
    ended = run_demo(tiny_bundle, tmp_path / "bag", output)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "The node ended with status" not in ended.stdout  # Ctrl+C ends an active node with status 0

    summary = json.loads((output / "summary.json").read_text())
    assert list(summary) == ["frames", "detections", "poses", "transforms", "latency_ms", "recall", "objects"]
    assert [summary[key] for key in ("frames", "detections", "poses", "transforms")] == [3, 9, 8, 8]
    assert 0.0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] < 10_000.0
    assert summary["recall"] == pytest.approx(6 / 8)
    assert summary["objects"].keys() == {a, b}
    assert (summary["objects"][a]["detections"], summary["objects"][a]["recall"]) == (5, 1.0)
    assert summary["objects"][a]["median_error_deg"] == pytest.approx(0.0, abs=0.05)
    assert summary["objects"][a]["median_error_mm"] == pytest.approx(0.0, abs=0.1)
    assert summary["objects"][b]["detections"] == 3
    assert summary["objects"][b]["recall"] == pytest.approx(1 / 3)
    assert summary["objects"][b]["median_error_mm"] == pytest.approx(500.0 * shift, rel=0.01)

    with (output / "poses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == list("00011122")
    assert [row["right"] for row in rows] == list("11110011")
    with PilImage.open(output / "overlay.webp") as animation:
        assert (animation.n_frames, animation.size) == (3, (640, 480))
    with PilImage.open(output / "contact_sheet.png") as sheet:
        assert sheet.size == (3 * 480, 360)
    report = (output / "report.html").read_text()
    assert "75.0%" in report
    assert report.count("data:image/jpeg;base64,") == 3
    assert "Traceback" not in (output / "node.log").read_text()


def test_no_pose_is_a_failure(tmp_path: Path, tiny_bundle: Path, estimator: PoseEstimator) -> None:
    write_bag(tmp_path / "bag", [[Seen("teapot", BOXES[0])], [Seen("teapot", BOXES[1])]], estimator)
    ended = run_demo(tiny_bundle, tmp_path / "bag", tmp_path / "out", "--frames", "1")
    assert ended.returncode == 1
    assert "No pose arrived" in ended.stdout
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["frames"], summary["poses"], summary["recall"]) == (1, 0, None)
    assert "the class 'teapot' is not in the bundle" in (tmp_path / "out/node.log").read_text()


def test_a_missing_bundle_is_named(tmp_path: Path, estimator: PoseEstimator) -> None:
    write_bag(tmp_path / "bag", [[Seen(estimator.class_ids[0], BOXES[0])]], estimator)
    ended = run_demo(tmp_path / "no_bundle", tmp_path / "bag", tmp_path / "out")
    assert ended.returncode == 1
    assert "The demo failed: the bundle cannot be used" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_sigterm_ends_the_node_as_well(tmp_path: Path, tiny_bundle: Path, estimator: PoseEstimator) -> None:
    write_bag(tmp_path / "bag", [[Seen(estimator.class_ids[0], BOXES[0])]] * 3, estimator)
    command = [
        sys.executable,
        str(ROOT / "demo/run_demo.py"),
        "--bundle",
        str(tiny_bundle),
        "--device",
        "cpu",
    ]
    command += ["--bag", str(tmp_path / "bag"), "--output", str(tmp_path / "out"), "--rate", "0.02"]
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        demo = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
    try:
        _wait(lambda: "The node is ready" in said.read_text() or demo.poll() is not None, 200.0)
        assert demo.poll() is None, said.read_text()
        children = _children(demo.pid)
        assert len(children) == 1
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=20.0) == 128 + signal.SIGTERM, said.read_text()
        _wait(lambda: not Path(f"/proc/{children[0]}").exists(), 5.0)
    finally:
        demo.kill()
        demo.wait()
    assert "Traceback" not in said.read_text() + (tmp_path / "out/node.log").read_text()


def _children(parent: int) -> list[int]:
    """The processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, after_name = stat.read_text().rsplit(")", 1)
        except OSError:  # it has just ended
            continue
        if int(after_name.split()[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _wait(condition: Callable[[], object], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_unusable_bags_say_why(tmp_path: Path, estimator: PoseEstimator) -> None:
    with pytest.raises(BagError, match="is no rosbag2"):
        read_frames(tmp_path / "nothing")
    write_bag(tmp_path / "bag", [[Seen(estimator.class_ids[0], BOXES[0])]], estimator)
    with pytest.raises(BagError, match="has no topic /other/image; it has /camera/camera_info"):
        read_frames(tmp_path / "bag", BagTopics(image="/other/image"))


def test_recall_by_visibility_counts_each_detection_in_its_band() -> None:
    def one(visible: float, is_right: bool) -> Judged:
        return Judged(0, "wedge", visible, None, None, is_right)

    judged = [one(0.29, True), one(0.3, True), one(0.49, False), one(0.8, True), one(1.0, True)]
    assert [(count, part) for _, _, count, part in recall_by_visibility(judged)] == [(2, 0.5), (0, None), (2, 1.0)]


def test_calibration_counts_visible_poses_that_state_a_covariance() -> None:
    def one(score: float, is_right: bool, is_inside: bool | None, visible: float = 1.0) -> Judged:
        return Judged(0, "wedge", visible, "0", None, is_right, score, is_inside)

    plain = [one(0.9, True, None), Judged(0, "wedge", 1.0, None, None, False)]
    assert calibration_figures(plain) is None
    assert "calibration" not in summarise(PlayedBag([], plain, 0))
    judged = [one(0.9, True, True), one(0.8, True, True), one(0.2, False, False), one(0.1, True, False, visible=0.2)]
    figures = calibration_figures([*judged, *plain])
    assert figures == {"poses": 3, "auroc": 1.0, "ece": pytest.approx(0.5 / 3, abs=1e-4), "brier": 0.03} | {
        "in_90_percent_region": pytest.approx(2 / 3, abs=1e-4)
    }
    bag = PlayedBag([], judged, 0)
    assert ("true poses within the 90 % region", "66.7%") in headline_rows(bag, summarise(bag))


def test_the_stated_region_is_that_of_the_covariance_and_symmetric_poses_are_inside(tiny_bundle: Path) -> None:
    _, disc = Bundle.load(tiny_bundle).objects
    judge = PoseJudge(disc.mesh, disc.symmetries)
    pose, turned = np.eye(4), np.eye(4)
    pose[2, 3] = turned[2, 3] = 0.7
    turned[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    covariance = np.diag([1e-4, 1e-4, 4e-4, 1e-2, 1e-2, np.pi**2 / 3])
    assert judge.is_inside(pose, turned, covariance)
    for shift, inside in ((0.02 * 3.0, True), (0.02 * 3.1, False)):  # the limit of five numbers: 9.24 = 3.04^2
        moved = pose.copy()
        moved[2, 3] += shift
        assert judge.is_inside(pose, moved, covariance) is inside
