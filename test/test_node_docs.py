"""docs/ros_api.md names every parameter, topic, service and diagnostic that the node has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import node_harness  # noqa: F401 - first: it sets ROS's environment
import pytest
import rclpy

from mrc_net_ros.frame_estimation import DROP_REASONS
from mrc_net_ros.frame_statistics import STAGES
from mrc_net_ros.images import EIGHT_BIT_ENCODINGS, SIXTEEN_BIT_ENCODINGS
from mrc_net_ros.parameter_specs import SPECS
from mrc_net_ros.pose_estimator import PoseEstimatorNode

ROOT = Path(__file__).resolve().parent.parent
API = (ROOT / "docs/ros_api.md").read_text(encoding="utf-8")


def _rows(heading: str) -> dict[str, list[str]]:
    """The table's rows below a heading, by what stands in the first column."""
    section = API.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line
    ]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_parameters_have_their_rows_with_default_and_liveness() -> None:
    rows = _rows("Parameters")
    assert list(rows) == [spec.name for spec in SPECS]
    for spec in SPECS:
        kind, default, text = rows[spec.name]
        as_yaml = json.dumps(spec.default)  # the same for these types
        assert default.strip("`") == as_yaml.strip('"' if spec.default else ""), spec.name
        assert spec.live == text.startswith("*live*"), spec.name
        assert spec.limits is None or f"{spec.limits[0]:g}..{spec.limits[1]:g}" in kind, spec.name
        assert all(f"`{choice}`" in text for choice in spec.choices), spec.name


def test_topics_and_services_are_those_of_a_configured_node(tiny_bundle: Path) -> None:
    rclpy.init()
    try:
        node = PoseEstimatorNode(
            namespace="/documented",
            parameter_overrides=[
                rclpy.parameter.Parameter(name, value=value)
                for name, value in (("bundle", str(tiny_bundle)), ("device", "cpu"), ("autostart", False))
            ],
        )
        assert node.trigger_configure().name == "SUCCESS"
        own = {publisher.topic_name for publisher in node.publishers}
        services = {service.service_name for service in node.services}
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    published = {re.sub(r"pose/\w+", "pose/<class>", name.removeprefix("/documented/")) for name in own}
    published -= {"/rosout", "/parameter_events", "pose_estimator/transition_event"}
    documented = {name.replace("~/", "pose_estimator/") for name in _rows("Published")}
    assert published == documented
    ours = {s.rsplit("/", 1)[1] for s in services if "parameter" not in s and "logger" not in s}
    named = {name.removeprefix("~/") for name in _rows("Services") if "`" not in name}
    lifecycle = {
        "change_state",
        "get_state",
        "get_available_states",
        "get_available_transitions",
        "get_transition_graph",
    }
    assert ours - {"get_type_description"} - lifecycle == named


def test_stages_reasons_and_encodings_are_named() -> None:
    table = API.split("\n## Diagnostics\n")[1].split("\n## ")[0]
    assert all(f"`{stage}" in table for stage in STAGES)
    assert all(f"`{reason}`" in table for reason in DROP_REASONS.values())
    encodings = API.replace("bayer_{rggb,bggr,gbrg,grbg}8", "bayer_rggb8 bayer_bggr8 bayer_gbrg8 bayer_grbg8")
    assert all(name in encodings for name in EIGHT_BIT_ENCODINGS + SIXTEEN_BIT_ENCODINGS)


def test_executables_and_launch_files_are_those_that_are_installed() -> None:
    named = {name for row in _rows("Executables") for name in re.findall(r"\w+", row)}
    scripts = {path.name for path in (ROOT / "scripts/executables").iterdir()}
    assert named == scripts
    installed = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert all(f"scripts/executables/{name}\n" in installed for name in scripts)
    assert set(_rows("Launch files")) == {path.name for path in (ROOT / "launch").glob("*.py")}


def test_what_the_node_says_when_nothing_comes_out_is_what_it_says() -> None:
    sources = [*(ROOT / "mrc_net_ros").rglob("*.py"), *(ROOT / "mrc_core/inference").rglob("*.py")]
    joined = [re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in sources]
    said = re.sub(r"\{[^{}]*\}", "...", "\n".join(joined))
    page = (ROOT / "docs/nothing_comes_out.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    for text in re.findall(r"`([^`]+)`", "".join(rows)):
        for part in re.split(r"\.\.\.(?:/detections)?", text):
            if part.strip() == "expecting type":  # rclpy's
                continue
            assert part.strip() in said, text


@pytest.mark.parametrize(
    "name", ["ros_api", "detectors", "calibration_and_rectification", "nothing_comes_out"]
)
def test_links_between_the_pages_lead_somewhere(name: str) -> None:
    text = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / "docs" / target).is_file(), target
