"""Offline evaluation on small bags whose right answers are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
import small_bags as bags
from rosbags.rosbag2 import StoragePlugin

from mrc_core.inference import PoseEstimator
from mrc_net_ros.evaluate_bag import main

FRAMES = 3
MOVED_M = 0.004


@pytest.fixture(scope="module")
def estimator(tiny_bundle: Path) -> PoseEstimator:
    """The estimator that the evaluation will use."""
    return PoseEstimator.from_bundle(tiny_bundle, device="cpu")


@pytest.fixture(scope="module")
def scene(estimator: PoseEstimator) -> bags.Scene:
    """True poses 4 mm beside the estimated ones."""
    return bags.make_scene(estimator, FRAMES, MOVED_M)


@pytest.fixture(scope="module")
def bag(scene: bags.Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene with its truth as topics and TF."""
    folder = tmp_path_factory.mktemp("bags")
    return bags.write_bag(folder / "bag", [*bags.camera_messages(scene), *bags.truth_messages(scene)])


def run(bag: Path, bundle: Path, output: Path, *more: str) -> int:
    """Evaluates without pictures unless ``more`` says otherwise; returns the exit status."""
    return main([str(bag), "--bundle", str(bundle), "--output", str(output), "--device", "cpu", *more])


def summary_of(output: Path) -> dict[str, Any]:
    """What was written."""
    content: dict[str, Any] = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return content


def test_a_known_offset_gives_the_known_error(bag: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    assert run(bag, tiny_bundle, tmp_path) == 0
    summary = summary_of(tmp_path)
    assert summary["frames"]["answered"] == summary["frames"]["selected"] == FRAMES
    assert summary["evaluated"]["ground_truth"].startswith("topic /camera/ground_truth")
    for class_id in ("wedge", "disc"):
        scores = summary["errors"]["by_object"][class_id]
        assert (scores["judged"], scores["poses"], scores["recall"]) == (FRAMES, FRAMES, 1.0)
        assert scores["translation_error_mm"]["p90"] == pytest.approx(1e3 * MOVED_M, abs=0.01)
        # about the disc's axis the nearest pose is that of its sampled points, which are not quite round
        assert scores["rotation_error_deg"]["p90"] == pytest.approx(0.0, abs=0.01 if class_id == "wedge" else 0.5)
    assert summary["errors"]["by_object"]["wedge"]["add_mm"]["median"] == pytest.approx(4.0, abs=0.01)
    assert summary["id_switches"] == 0
    with (tmp_path / "poses.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list("001122")
    assert {row["right"] for row in rows} == {"1"}
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "4.0 mm" in report
    assert report.count("data:image/jpeg") == FRAMES
    assert "the whole bag" in report
    assert (tmp_path / "overlay.mp4").stat().st_size > 1000
    assert (tmp_path / "contact_sheet.png").is_file()
    timing = json.loads((tmp_path / "timing.json").read_text(encoding="utf-8"))
    assert timing["latency"]["frame"]["p50_ms"] > timing["latency"]["estimate"]["p50_ms"] > 0.0


def test_storages_and_runs_give_the_same_bytes(
    bag: Path, scene: bags.Scene, tiny_bundle: Path, tmp_path: Path
) -> None:
    written = [*bags.truth_messages(scene), *bags.camera_messages(scene)]  # another order within an instant
    mcap = bags.write_bag(tmp_path / "other_name", written, StoragePlugin.MCAP)
    lone_file = next(mcap.glob("*.mcap"))
    contents = []
    for number, path in enumerate((bag, bag, mcap, lone_file)):
        output = tmp_path / str(number)
        assert run(path, tiny_bundle, output, "--no-video") == 0
        contents.append([(output / name).read_bytes() for name in ("summary.json", "poses.csv")])
    assert contents[0] == contents[1]
    assert contents[0] == contents[2]
    assert contents[0] == contents[3]
    keys = list(summary_of(tmp_path / "0"))
    assert keys == sorted(keys)


def test_all_sources_of_truth_give_the_same_errors(
    bag: Path, scene: bags.Scene, tiny_bundle: Path, tmp_path: Path
) -> None:
    classes = ["wedge", "disc"]
    order = bags.write_scene_gt(tmp_path / "scene_gt.json", scene, classes, by_stamp=False)
    stamps = bags.write_scene_gt(tmp_path / "stamps_gt.json", scene, classes, by_stamp=True)
    named = ["--gt-class", "1:wedge", "--gt-class", "2:disc"]
    errors = {}
    for name, more in {
        "topic": ["--gt", f"topic:{bags.TRUTH}"],
        "tf": ["--gt", "tf:gt_"],
        "bop": ["--gt", f"bop:{order}", *named],
        "bop_stamp": ["--gt", f"bop_stamp:{stamps}", *named],
        "pose": ["--gt", f"topic:{bags.POSE}", "--gt-class", "wedge"],
    }.items():
        assert run(bag, tiny_bundle, tmp_path / name, "--no-video", *more) == 0
        errors[name] = summary_of(tmp_path / name)["errors"]["by_object"]
    for name in ("tf", "bop", "bop_stamp"):
        assert errors[name].keys() == errors["topic"].keys()
    for name, by_object in errors.items():
        for class_id, scores in by_object.items():
            assert _flat(scores) == pytest.approx(_flat(errors["topic"][class_id]), abs=2e-3), (
                name,
                class_id,
            )
    assert list(errors["pose"]) == ["wedge"]


def _flat(scores: dict[str, Any]) -> dict[str, float]:
    flat = {k: v for k, v in scores.items() if not isinstance(v, dict)}
    return {**flat, **{f"{k} {p}": x for k, v in scores.items() if isinstance(v, dict) for p, x in v.items()}}


def test_the_selection_and_by_order_truth_keep_the_images_numbers(
    bag: Path, scene: bags.Scene, tiny_bundle: Path, tmp_path: Path
) -> None:
    truth = bags.write_scene_gt(tmp_path / "scene_gt.json", scene, ["wedge", "disc"], by_stamp=False)
    more = ["--gt", f"bop:{truth}", "--gt-class", "1:wedge", "--gt-class", "2:disc"]
    assert run(bag, tiny_bundle, tmp_path, "--no-video", "--start", "0.1", *more) == 0
    summary = summary_of(tmp_path)
    assert (summary["frames"]["images_read"], summary["frames"]["selected"]) == (3, 2)
    assert summary["errors"]["all"]["translation_error_mm"]["p90"] == pytest.approx(4.0, abs=0.01)
    assert run(bag, tiny_bundle, tmp_path, "--no-video", "--every", "2", "--duration", "0.2") == 0
    assert summary_of(tmp_path)["frames"]["selected"] == 1
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "for 0.2 s, one of 2 images" in report
    assert "tracking: off" in report


def test_lost_and_left_out_are_counted_with_their_reason(
    scene: bags.Scene, tiny_bundle: Path, tmp_path: Path
) -> None:
    written = bags.camera_messages(scene)
    lone_image = next(
        i for i, w in enumerate(written) if w.topic == bags.DETECTIONS and w.received_ns == bags.stamp_ns(1)
    )
    del written[lone_image]
    written[-1].message.detections[0].results[0].hypothesis.class_id = "teapot"
    bag = bags.write_bag(tmp_path / "bag", [*written, *bags.truth_messages(scene, visible=0.2)])
    assert run(bag, tiny_bundle, tmp_path / "out", "--no-video", "--param", "max_detections:=5") == 0
    summary = summary_of(tmp_path / "out")
    (reason,) = summary["frames"]["not_joined"]
    assert "no detections with the image's stamp" in reason
    assert (summary["frames"]["joined"], summary["poses"]["count"]) == (2, 3)
    assert "'teapot' is not in the bundle" in summary["detections"]["left_out"]["class teapot"]["example"]
    assert summary["errors"]["all"]["judged"] == 0  # too little of them is visible
    assert summary["errors"]["all"]["recall"] is None


def _without(written: Sequence[bags.Written], topic: str) -> list[bags.Written]:
    return [one for one in written if one.topic != topic]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--image", "/other"], "the bag has no topic /other (--image)"),
        (
            ["--image", bags.INFO],
            "is of type sensor_msgs/msg/CameraInfo, but must be sensor_msgs/msg/Image or",
        ),
        (
            ["--detections", bags.IMAGE],
            "must be vision_msgs/msg/Detection2DArray; of that type there is: /camera/det",
        ),
        (["--gt", "topic:/nothing"], "the bag has no topic /nothing (--gt)"),
        (
            ["--gt", f"topic:{bags.INFO}"],
            "must be vision_msgs/msg/Detection3DArray or geometry_msgs/msg/PoseStamped",
        ),
        (["--gt", f"topic:{bags.POSE}"], "say it with one --gt-class, one of: wedge, disc"),
        (["--gt", "tf:nobody_"], "no TF frame in the bag is called 'nobody_<class>'"),
        (["--gt", "bop:/nothing/scene_gt.json"], "scene_gt.json is missing"),
        (["--gt", "guess"], "--gt 'guess' is none of"),
        (["--param", "rectified:=maybe"], "'maybe' must be true or false"),
        (["--param", "sync_slop_s:=7"], "'sync_slop_s' is 7.0, but must be from 0.0 to 1.0"),
        (["--param", "colour:=red"], "there is no parameter 'colour'"),
        (["--param", "bundle:=x"], "it has an option of its own, --bundle"),
        (["--param", "cameras:=[left]"], "--param cameras: leave it out, one camera is evaluated"),
        (["--every", "0"], "--every and --frames must be at least 1"),
        (["--detections-every", "0"], "--detections-every must be at least 1"),
        (["--start", "nan"], "--start is nan: it must be"),
        (["--duration", "nan"], "--duration is nan: it must be a positive number of seconds"),
        (["--rate", "inf"], "--rate is inf: it must be a positive number"),
        (["--domain", "233"], "--domain is 233: a ROS_DOMAIN_ID is from 0 to 232"),
        (["--output", "/dev/null/out"], "--output '/dev/null/out' is no folder that can be written (Not a d"),
        (["--output", "/proc"], "--output '/proc' is no folder that can be written"),
        (["--bundle", "/no/bundle"], "/no/bundle"),
    ],
)
def test_what_cannot_be_used_gives_one_line(
    bag: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    expected: str,
) -> None:
    assert run(bag, tiny_bundle, tmp_path / "out", *more) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert said.startswith("evaluate_bag: ")
    assert said.count("\n") == 1


def test_a_selection_without_images_says_so(
    bag: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bag, tiny_bundle, tmp_path / "out", "--no-video", "--start", "50") == 1
    assert f"no pose came: none of the bag's {FRAMES} images was selected: see --start" in capsys.readouterr().err


def test_bags_that_cannot_be_used_give_one_line(
    scene: bags.Scene, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = bags.camera_messages(scene)
    (tmp_path / "folder").mkdir()
    other = [bags.Written("/other/detections", one.received_ns, one.message) for one in written[2::3]]
    bags.TYPES["/other/detections"] = bags.TYPES[bags.DETECTIONS]
    cases = {
        "nothing": "there is no bag",
        "folder": "is no rosbag2: it has no metadata.yaml",
        bags.write_bag(tmp_path / "empty", []).name: "is empty",
        bags.write_bag(tmp_path / "two", [*written, *other]).name: "several topics could be the detections",
        bags.write_bag(
            tmp_path / "blind", _without(written, bags.INFO)
        ).name: "no camera info of the image's frame_id",
        bags.write_bag(
            tmp_path / "undetected", _without(written, bags.DETECTIONS)
        ).name: "no detections with the image's stamp",
    }
    for name, expected in cases.items():
        assert run(tmp_path / name, tiny_bundle, tmp_path / "out", "--no-video") == 1
        said = capsys.readouterr().err
        assert expected in said, name
        assert said.count("\n") == 1
