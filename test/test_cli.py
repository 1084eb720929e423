"""The `mrc-net` command as a user runs it."""

import json

import cv2
import numpy as np
import pytest

from mrc_core.cli import main
from mrc_core.inference import Detection, PoseEstimator

CAMERA = {"fx": 600, "fy": 600, "cx": 319.5, "cy": 239.5, "width": 640, "height": 480}
DETECTIONS = [
    {"class_id": "disc", "score": 0.8, "box_xyxy_px": [100, 100, 250, 220]},
    {"class_id": "wedge", "score": 0.9, "box_xyxy_px": [300, 200, 420, 330]},
]


@pytest.fixture
def files(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "I.png"), image)
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA))
    (tmp_path / "detections.json").write_text(json.dumps(DETECTIONS))
    return tmp_path


def estimate(bundle, files, *more):
    return main(
        [
            "estimate",
            "--bundle",
            str(bundle),
            "--image",
            str(files / "I.png"),
            "--camera",
            str(files / "camera.json"),
            "--detections",
            str(files / "detections.json"),
            "--output",
            str(files / "poses.json"),
            *more,
        ]
    )


def test_estimate_writes_what_the_library_says(tiny_bundle, files):
    assert estimate(tiny_bundle, files, "--overlay", str(files / "overlay.png")) == 0
    poses = json.loads((files / "poses.json").read_text())
    assert [p["class_id"] for p in poses] == ["disc", "wedge"]
    assert [p["detection_score"] for p in poses] == [0.8, 0.9]
    assert set(poses[0]) == {"class_id", "score", "detection_score", "box_xyxy_px", "cam_from_obj"}
    rgb = np.ascontiguousarray(cv2.imread(str(files / "I.png"))[..., ::-1])
    K = np.array([[600, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
    found = [Detection(d["class_id"], tuple(d["box_xyxy_px"]), d["score"]) for d in DETECTIONS]
    direct = PoseEstimator.from_bundle(tiny_bundle).estimate(rgb, K, found)
    assert np.array_equal(np.array(poses[1]["cam_from_obj"]), direct[1].cam_from_obj)
    overlay = cv2.imread(str(files / "overlay.png"))
    assert overlay.shape == (480, 640, 3)
    assert (overlay[..., ::-1] != rgb).any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "I.png").write_bytes(b"\x89PNG broken"), "cannot be read as a picture"),
        (lambda f: (f / "camera.json").write_text(json.dumps({**CAMERA, "width": 1280})), "1280x480"),
        (lambda f: (f / "camera.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "camera.json").unlink(), "does not exist"),
        (lambda f: (f / "detections.json").write_text(json.dumps([{"class_id": "disc"}])), "entry 0"),
        (
            lambda f: (f / "detections.json").write_text(json.dumps([{**DETECTIONS[0], "class_id": "mug"}])),
            "mug",
        ),
        (lambda f: (f / "detections.json").write_text("{}"), "a list of detections"),
    ],
)
def test_bad_input_gives_one_line_that_names_it(tiny_bundle, files, capsys, change, says):
    change(files)
    assert estimate(tiny_bundle, files) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("mrc-net: ")
    assert len(error.strip().splitlines()) == 1
    assert not (files / "poses.json").exists()


def test_info_names_classes_and_refuses_what_is_no_bundle(tiny_bundle, tmp_path, capsys):
    assert main(["info", "--bundle", str(tiny_bundle), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [item["class_id"] for item in facts["objects"]] == ["wedge", "disc"]
    assert facts["objects"][1]["symmetries"] == "about an axis"
    assert facts["rotations"] == 576
    assert main(["info", "--bundle", str(tiny_bundle)]) == 0
    assert "wedge" in capsys.readouterr().out
    assert main(["info", "--bundle", str(tmp_path)]) == 1
    assert "not a bundle" in capsys.readouterr().err


def test_benchmark_prints_every_part(tmp_path, capsys):
    target = tmp_path / "b.json"
    assert (
        main(
            ["benchmark", "--flavour", "small", "--detections", "1", "--repeats", "1", "--json", str(target)]
        )
        == 0
    )
    figures = json.loads(target.read_text())
    stages = figures["stages_small_cpu"][0]
    assert {"crop", "stage 1", "render", "render + stage 2", "image to pose"} <= set(stages)
    assert all(row["largest difference"] < 1e-3 for row in figures["correlation_cpu"])
    assert figures["renderers_cpu"][0]["renderer"] == "warp"
    out = capsys.readouterr().out
    assert "correlation" in out
    assert "renderers" in out


@pytest.mark.parametrize("command", ["train", "calibrate", "estimate", "info", "benchmark"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"mrc-net {command}" in capsys.readouterr().out
