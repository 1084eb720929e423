"""Offline evaluation with tracking on the demo's bag, where the objects move fast in the picture: ids and counts."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
from conftest import ROOT

from mrc_net_ros.evaluate_bag import main

FRAMES = 7


def _evaluate(output: Path, *more: str) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """The summary, and the ids of each class."""
    paths = [str(ROOT / "demo/bag"), "--bundle", str(ROOT / "demo/bundle"), "--output", str(output)]
    assert main([*paths, "--device", "cpu", "--frames", str(FRAMES), "--no-video", *more]) == 0
    ids: dict[str, set[str]] = defaultdict(set)
    with (output / "poses.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ids[row["class_id"]].add(row["instance_id"])
    summary: dict[str, Any] = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return summary, ids


@pytest.mark.parametrize("mode", ["between_detections", "every_frame"])
def test_moving_objects_keep_their_ids_without_most_detections(mode: str, tmp_path: Path) -> None:
    summary, ids = _evaluate(tmp_path, "--tracking", mode, "--detections-every", "3")
    assert summary["frames"]["answered"] == FRAMES
    assert ids == {name: {"0"} for name in ("tea_box", "bracket", "toolbox", "flask")}
    assert summary["id_switches"] == 0
    scores = summary["errors"]["all"]
    assert scores["judged"] >= 3 * FRAMES  # by the detections of the bag, also where they were held back
    assert scores["poses"] >= 0.8 * scores["judged"]  # a track that is not sure of itself is not answered
    assert scores["recall"] >= 0.5


def test_without_tracking_images_without_detections_are_not_answered(tmp_path: Path) -> None:
    summary, _ = _evaluate(tmp_path, "--detections-every", "3")
    assert summary["frames"]["answered"] == 3
    assert list(summary["frames"]["not_joined"].values()) == [FRAMES - 3]
