"""The node's parts, each by itself: names, parameters, worker, messages that repeat, synchroniser, ranking."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from mrc_core.inference import Detection
from mrc_net_ros.camera import Camera
from mrc_net_ros.complaints import Complaints
from mrc_net_ros.frame_estimation import best_scored, ranked
from mrc_net_ros.naming import NamingError, child_frame, topic_token, topic_tokens
from mrc_net_ros.node_diagnostics import NodeCondition, statuses
from mrc_net_ros.parameter_specs import SPECS
from mrc_net_ros.parameters import NodeSettings, ParameterError
from mrc_net_ros.prepared_frame import Instance
from mrc_net_ros.starvation import RefusalWatch, StarvationWatch
from mrc_net_ros.synchroniser import CameraInfoCache, Frame, FrameSynchroniser
from mrc_net_ros.time_budget import PassTimes, shared_out
from mrc_net_ros.unusable_input import UnusableInput
from mrc_net_ros.worker import NewestFirstWorker

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("class_id", "token"),
    [
        ("tea_box", "tea_box"),
        ("002 master-chef", "obj_002_master_chef"),
        ("tasse.grün", "tasse_gr_n"),
        ("_x", "_x"),
    ],
)
def test_topic_token(class_id: str, token: str) -> None:
    assert topic_token(class_id) == token


def test_names_that_collide_are_an_error() -> None:
    assert topic_tokens(["a b", "ab"]) == {"a b": "a_b", "ab": "ab"}
    with pytest.raises(NamingError, match="'a b' and 'a-b' would both be published on 'pose/a_b'"):
        topic_tokens(["a b", "a-b"])
    with pytest.raises(NamingError, match="is empty"):
        topic_tokens([""])
    assert child_frame("arm/", "tea_box", 2) == "arm/tea_box_2"


def test_settings_reject_what_they_cannot_use() -> None:
    settings = NodeSettings.from_values({"class_map": ["", "3:tea_box", "x:flask:old"], "max_detections": 4})
    assert settings.class_map == {"3": "tea_box", "x": "flask:old"}
    assert settings.max_detections == 4
    for values, reason in (
        ({"device": "gpu"}, "one of: auto, cpu, cuda"),
        ({"sync_slop_s": -0.1}, "from 0.0 to 1.0"),
        ({"class_map": ["tea_box"]}, "write it as"),
        ({"class_map": ["3:a", "3:b"]}, "twice"),
        ({"speed": 1}, "there is no parameter 'speed'"),
    ):
        with pytest.raises(ParameterError, match=reason):
            NodeSettings.from_values(values)


def test_defaults_of_settings_specs_and_parameters_file_agree() -> None:
    from_specs = NodeSettings.from_values({spec.name: spec.default for spec in SPECS})
    assert from_specs == NodeSettings()
    file = yaml.safe_load((ROOT / "config/mrc_net.yaml").read_text(encoding="utf-8"))
    values = file["/**"]["ros__parameters"]
    # A bundle in the file, even an empty one, would hide the demo's bundle that the launch file falls back to
    assert list(values) == [spec.name for spec in SPECS if spec.name != "bundle"]
    assert NodeSettings.from_values(values) == NodeSettings()


def test_worker_takes_the_newest_and_survives_errors() -> None:
    started, go_on = threading.Event(), threading.Event()
    done: list[int] = []
    errors: list[Exception] = []

    def process(items: list[int]) -> None:
        started.set()
        assert go_on.wait(5.0)
        if 3 in items:
            raise ValueError("three")
        done.extend(items)

    worker: NewestFirstWorker[int] = NewestFirstWorker(process, errors.append)
    assert not worker.submit(0)
    assert started.wait(5.0)
    assert [worker.submit(i) for i in (1, 2, 3)] == [False, True, True]
    go_on.set()
    end_s = time.monotonic() + 5.0
    while not errors and time.monotonic() < end_s:
        time.sleep(0.001)
    worker.submit(4)
    while 4 not in done and time.monotonic() < end_s:
        time.sleep(0.001)
    worker.stop()
    assert done == [0, 4]
    assert [str(error) for error in errors] == ["three"]


def test_complaints_are_throttled_by_kind() -> None:
    said: list[str] = []
    now_s = [0.0]
    complain = Complaints(said.append, period_s=5.0, clock=lambda: now_s[0])
    for kind in ("a", "a", "b", "a"):
        complain(kind, f"about {kind}")
    assert said == ["about a", "about b"]
    now_s[0] = 5.0
    complain("a", "about a")
    assert said[2] == "about a (2 more like this since)"
    complain.forget()
    complain("a", "about a")
    assert said[3] == "about a"
    for now_s[0] in (10.0, 100.0, 1000.0):
        complain("c", "about c", once=True)
    assert said[4:] == ["about c"]


def _add(synchroniser: FrameSynchroniser, stamp_s: float, image: bool = True, boxes: bool = True) -> None:
    if image:
        synchroniser.add_image(harness.raw_image(harness.header(stamp_s), np.zeros((2, 2, 3), np.uint8)))
    if boxes:
        synchroniser.add_detections(Detection2DArray(header=harness.header(stamp_s)))


def test_synchroniser_joins_by_stamp_out_of_order() -> None:
    frames: list[Frame] = []
    synchroniser = FrameSynchroniser(frames.append, queue_size=5)
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.0)))
    for stamp_s in (1.0, 1.1, 1.2):
        _add(synchroniser, stamp_s, boxes=False)
    _add(synchroniser, 1.1, image=False)
    _add(synchroniser, 1.25, image=False)
    assert [harness.seconds(f.image.header.stamp) for f in frames] == [1.1]
    assert frames[0].detections.header == frames[0].image.header


def test_synchroniser_with_slop_joins_near_stamps() -> None:
    frames: list[Frame] = []
    synchroniser = FrameSynchroniser(frames.append, queue_size=5, slop_s=0.03)
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.0)))
    _add(synchroniser, 1.0, boxes=False)
    _add(synchroniser, 1.02, image=False)
    _add(synchroniser, 2.0, boxes=False)
    _add(synchroniser, 2.05, image=False)
    assert [harness.seconds(f.image.header.stamp) for f in frames] == [1.0]


def test_synchroniser_goes_on_after_time_jumps_back() -> None:
    frames: list[Frame] = []
    synchroniser = FrameSynchroniser(frames.append, queue_size=3)
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.0)))
    for i in range(6):  # never matched: they would fill both queues with the newest stamps
        _add(synchroniser, 100.0 + i, boxes=False)
        _add(synchroniser, 100.5 + i, image=False)
    assert frames == []
    for i in range(6):
        _add(synchroniser, 10.0 + 0.1 * i)
    assert [round(harness.seconds(f.image.header.stamp), 3) for f in frames] == [
        10.0,
        10.1,
        10.2,
        10.3,
        10.4,
        10.5,
    ]
    assert synchroniser.rebuilds >= 1


@pytest.mark.parametrize("slop_s", [0.0, 0.03])
def test_synchroniser_refuses_negative_stamps_and_survives_errors(slop_s: float) -> None:
    frames: list[Frame] = []

    def take(frame: Frame) -> None:
        if harness.seconds(frame.image.header.stamp) == 2.0:
            raise ValueError("two")
        frames.append(frame)

    synchroniser = FrameSynchroniser(take, queue_size=5, slop_s=slop_s)
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.0)))
    _add(synchroniser, 1.0, boxes=False)
    for which in ({"boxes": False}, {"image": False}):
        with pytest.raises(UnusableInput, match="negative stamp"):
            _add(synchroniser, -0.5, **which)
    _add(synchroniser, 1.0, image=False)
    with pytest.raises(ValueError, match="two"):
        _add(synchroniser, 2.0)
    _add(synchroniser, 3.0)
    assert [harness.seconds(f.image.header.stamp) for f in frames] == [1.0, 3.0]
    assert synchroniser.rebuilds == 0


def test_synchroniser_takes_the_info_of_the_stamp_else_the_latest_of_the_frame() -> None:
    frames: list[Frame] = []
    synchroniser = FrameSynchroniser(frames.append, queue_size=5)
    _add(synchroniser, 1.0)
    assert frames == []
    assert synchroniser.waits_for_camera_info
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.5, "another_camera")))
    assert frames == []
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.9)))
    assert harness.seconds(frames[0].camera_info.header.stamp) == 0.9
    assert not synchroniser.waits_for_camera_info
    synchroniser.add_camera_info(harness.camera_info(harness.header(2.0)))
    synchroniser.add_camera_info(harness.camera_info(harness.header(2.1)))
    _add(synchroniser, 2.0)
    assert harness.seconds(frames[1].camera_info.header.stamp) == 2.0
    _add(synchroniser, 2.5)
    assert harness.seconds(frames[2].camera_info.header.stamp) == 2.1


def test_infos_of_other_sizes_do_not_push_out_the_one_that_fits() -> None:
    infos = CameraInfoCache(size=10)
    for stamp_s, size in ((1.0, (480, 640)), (1.1, (720, 1280)), (1.2, (240, 320))):
        infos.add(harness.camera_info(harness.header(stamp_s), size=size))

    def found(at_s: float, size: tuple[int, int] | None) -> float:
        info = infos.find(harness.FRAME, round(at_s * 1e9), size)
        assert info is not None
        return harness.seconds(info.header.stamp)

    assert found(1.1, (480, 640)) == 1.1  # its own stamp's, whatever it says: it is refused by name
    assert found(1.5, (480, 640)) == 1.0
    assert found(1.5, (720, 1280)) == 1.1
    assert found(1.5, (1, 1)) == found(1.5, None) == 1.2
    part = harness.camera_info(harness.header(1.3), size=(480, 640))
    part.binning_x = part.binning_y = 2
    infos.add(part)
    assert found(1.5, (240, 320)) == 1.3
    assert found(1.5, (480, 640)) == 1.0
    assert infos.find("another_camera", 0, (480, 640)) is None


def test_starvation_names_what_is_missing() -> None:
    synchroniser = FrameSynchroniser(lambda frame: None, queue_size=5)
    synchroniser.add_camera_info(harness.camera_info(harness.header(0.0)))
    topics = ["/info", "/image", "/boxes"]
    watch = StarvationWatch(patience_s=5.0)
    assert watch.trouble(synchroniser, topics, 0.0) == ""
    assert watch.trouble(synchroniser, topics, 4.0) == ""
    assert "neither images on /image nor detections on /boxes" in watch.trouble(synchroniser, topics, 6.0)
    _add(synchroniser, 1.0, boxes=False)
    assert "nothing on /boxes" in watch.trouble(synchroniser, topics, 12.0)
    _add(synchroniser, 2.0, image=False)
    assert "no images on /image" in watch.trouble(synchroniser, topics, 18.0)
    _add(synchroniser, 3.0, boxes=False)
    _add(synchroniser, 3.1, image=False)
    assert "stamps never match" in watch.trouble(synchroniser, topics, 24.0)
    _add(synchroniser, 4.0)
    assert watch.trouble(synchroniser, topics, 25.0) == ""


def test_refusals_are_told_while_nothing_else_comes() -> None:
    watch = RefusalWatch(patience_s=5.0)
    assert watch.trouble(7, 0, 0.0) == ""
    assert watch.trouble(7, 30, 4.0) == ""
    assert "none can be used (40 refused or failed)" in watch.trouble(7, 40, 5.0)
    assert "(40 refused" in watch.trouble(7, 45, 6.0)  # as it was last found
    assert watch.trouble(8, 45, 7.0) == ""  # one was answered
    assert watch.trouble(8, 45, 13.0) == ""  # nothing came at all
    assert "(2 refused" in watch.trouble(8, 47, 19.0)
    assert watch.trouble(8, 47, 25.0) == ""
    assert watch.trouble(0, 0, 26.0) == ""  # activated again


def test_worker_takes_the_newest_of_every_source_and_runs_errands_between() -> None:
    started, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def process(items: list[int]) -> None:
        batches.append(items)
        started.set()
        assert go_on.wait(5.0)

    worker: NewestFirstWorker[int] = NewestFirstWorker(process, lambda error: None)
    worker.submit(0, "left")
    assert started.wait(5.0)
    assert not worker.is_awaited
    assert [worker.submit(i, s) for i, s in ((1, "right"), (2, "left"), (3, "right"))] == [False, False, True]
    assert worker.is_awaited
    errand = worker.post(lambda: list(batches))
    go_on.set()
    assert errand.result(5.0) == [[0]]  # before the next frames
    worker.call(lambda: None)
    worker.call(lambda: None)
    assert batches == [[0], [3, 2]]
    worker.stop()
    assert worker.post(lambda: None).cancelled()


def test_best_scored_detections_keep_their_order() -> None:
    detections = [Detection("x", (0.0, 0.0, 1.0, 1.0), score) for score in (0.3, 0.9, 0.1, 0.5)]
    assert best_scored(detections, 2) == [1, 3]
    assert best_scored(detections, 4) == [0, 1, 2, 3]


def test_ranks_count_within_the_class() -> None:
    estimates = [
        SimpleNamespace(class_id=c, score=s) for c, s in (("a", 0.2), ("b", 0.5), ("a", 0.7), ("a", 0.4))
    ]
    given = [Instance(estimate, 0, (0.0, 0.0, 1.0, float(i))) for i, estimate in enumerate(estimates)]
    instances = ranked(given)
    assert [instance.rank for instance in instances] == [2, 0, 0, 1]
    assert [instance.box_px[3] for instance in instances] == [0.0, 1.0, 2.0, 3.0]


def test_statistics_and_diagnostics() -> None:
    camera = Camera("", outputs=None)
    statistics = camera.statistics
    assert statistics.percentiles_ms("latency") is None
    for i in range(1, 101):
        statistics.add_frame(2, {"unknown class": 1}, {"latency": i * 1e-3, "age": 0.5})
    statistics.add_callbacks(2e-3)
    statistics.add_dropped_frame("replaced")
    statistics.add_unknown_class("teapot")
    assert statistics.percentiles_ms("latency") == pytest.approx((50.5, 95.05, 100.0))
    condition = NodeCondition("active", "", False, "/bundle", {})
    (status,) = statuses("/node", condition, [camera])
    values = {value.key: value.value for value in status.values}
    assert (status.level, status.message) == (DiagnosticStatus.OK, "active")
    assert values["age p95 [ms]"] == values["age max [ms]"] == "500.00"
    assert values["conversion p50 [ms]"] == "-"
    assert values["callbacks p50 [ms]"] == "2.00"
    assert (values["poses"], values["dropped detections, unknown class"]) == ("200", "100")
    assert (values["dropped frames, replaced"], values["unknown classes"]) == ("1", "teapot")
    assert 20 < float(values["memory [MB]"]) < 1e5
    broken = NodeCondition("unconfigured", "no bundle", False, "", {})
    assert statuses("/node", broken, [])[0].level == DiagnosticStatus.ERROR


def test_diagnostics_tell_pauses_starvation_and_qos_of_each_camera() -> None:
    left, right = Camera("left", outputs=None), Camera("right", outputs=None)
    right.trouble = "nothing on /right/detections"
    node, of_left, of_right = statuses("/n", NodeCondition("active", "", True, "/b", {}), [left, right])
    assert (node.level, node.message) == (DiagnosticStatus.WARN, "no frames from: right")
    assert (of_left.name, of_left.message, of_left.level) == ("/n: left", "paused", DiagnosticStatus.OK)
    assert (of_right.message, of_right.level) == (right.trouble, DiagnosticStatus.WARN)
    deaf = NodeCondition("active", "", False, "/b", {"/image": "a publisher on /image cannot be heard"})
    (status,) = statuses("/n", deaf, [Camera("", outputs=None)])
    assert (status.level, status.message) == (DiagnosticStatus.WARN, deaf.incompatible["/image"])
    assert {v.key: v.value for v in status.values}["incompatible QoS"] == "/image"


def test_times_of_passes_predict_what_fits() -> None:
    times = PassTimes()
    assert times.fitting(9, 0.01, 0.0) == 9  # nothing is known yet
    times.add(4, 0.2, 0.0)
    assert times.predicted(2, 1.0) == pytest.approx(0.2)
    assert times.predicted(8, 1.0) == pytest.approx(0.4)
    assert times.fitting(9, 0.31, 1.0) == 6
    assert times.fitting(9, 0.001, 1.0) == 1  # never nothing
    times.add(8, 0.28, 1.0)
    assert times.predicted(6, 1.0) == pytest.approx(0.24)
    assert times.predicted(12, 1.0) == pytest.approx(0.36)
    assert times.fitting(20, 0.301, 1.0) == 9
    times.add(8, 0.38, 1.0)
    assert times.predicted(8, 1.0) == pytest.approx(0.31)  # smoothed
    assert times.fitting(20, 0.001, 60.0) == 20  # too old to count: tried again


def test_a_time_is_shared_out_fairly() -> None:
    assert shared_out([[0.3, 0.9, 0.5]], 2) == [[1, 2]]
    assert shared_out([[0.9, 0.8, 0.7], [0.1, 0.2], []], 4) == [[0, 1], [0, 1], []]
    assert shared_out([[0.9, 0.8], [0.1, 0.2]], 3) == [[0, 1], [1]]
    assert shared_out([[0.9, 0.8], [0.1, 0.2]], 1, first=0) == [[0], []]
    assert shared_out([[0.9, 0.8], [0.1, 0.2]], 1, first=1) == [[], [1]]


def test_camera_names_that_no_topic_can_have_are_refused() -> None:
    assert NodeSettings.from_values({"cameras": ["", "left", "head/right"]}).cameras == ("left", "head/right")
    for names, reason in ((["2nd"], "not first a digit"), (["a", "a"], "twice"), (["a//b"], "'/' between")):
        with pytest.raises(ParameterError, match=reason):
            NodeSettings.from_values({"cameras": names})
