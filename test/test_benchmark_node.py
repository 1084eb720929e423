"""benchmark_node: a short run over real DDS, and what it says of it."""

from __future__ import annotations

import json
from pathlib import Path

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest

from mrc_net_ros.benchmark_node import INPUTS, main
from mrc_net_ros.measuring.node_work import PARTS


def test_parts_are_measured_and_the_limit_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "work/node.json"
    options = ["--inputs", "compressed", "--seconds", "5", "--device", "cpu", "--json", str(out)]
    assert main([*options, "--limit-ms", "0.01"]) == 1
    said = capsys.readouterr().out
    assert f"Above the limit: {INPUTS['compressed']}: own work p95" in said
    assert all(f"{part} " in said for part in PARTS)
    figures = json.loads(out.read_text(encoding="utf-8"))["compressed"]
    assert figures["sent"] == figures["answered"] + figures["dropped"] + figures["lost"]
    assert figures["answered"] > 10
    of = {part: figures[f"{part} ms"] for part in (*PARTS, "estimate", "deserialisation")}
    for part, three in of.items():
        assert 0.0 < three["p50"] <= three["p95"] <= three["max"], part
    # decoding a JPEG is the most of it, and the network is not in it
    assert of["conversion"]["p50"] < of["own work"]["p50"] < of["estimate"]["p50"]


def test_what_cannot_be_measured_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--rate", "0"])
    assert "must be positive" in capsys.readouterr().err
    assert main(["--bag", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"benchmark_node: '{tmp_path}' is no rosbag2")
