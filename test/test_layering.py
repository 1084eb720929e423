"""Who may import whom, read from the import statements of every source file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The layers of mrc_core, each with what it may import of ours. A package allows all of its modules. Layers that are
# GIVEN a renderer may know the types it is described by (rendering.interface), but not how to make one.
ALLOWED = {
    "geometry": (),
    "rendering": ("geometry",),
    "model": ("geometry",),
    "data": ("geometry", "rendering.interface"),
    "evaluation": ("geometry", "data"),
    "inference": ("model", "rendering", "geometry"),
    "training": ("model", "data", "evaluation", "inference", "geometry", "rendering.interface"),
    "calibration": ("geometry", "model", "data", "evaluation", "inference"),
    "visualisation": ("geometry", "rendering.interface"),
    "reporting": ("geometry", "data", "evaluation", "visualisation", "rendering.interface"),
    "benchmarks": ("geometry", "rendering", "model", "inference", "data", "evaluation", "training"),
    "cli": (
        "geometry",
        "rendering",
        "model",
        "data",
        "evaluation",
        "inference",
        "training",
        "calibration",
        "visualisation",
        "reporting",
        "benchmarks",
    ),
}

# What the library must never import: it knows no ROS.
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "launch",
    "launch_ros",
    "message_filters",
    "mrc_net_ros",
    "rcl_interfaces",
    "rclpy",
    "rosbag2_py",
    "rosbags",
    "tf2_ros",
    "tf_transformations",
}


def imported_modules(source: str, module: str) -> Iterator[str]:
    """Absolute dotted names that a module's source imports, wherever in the file; `from a import b` gives a.b.

    A name that is bound by `from a import b` may be a module or not; a.b is right for both, since a rule that allows
    or forbids a holds for what lies below it.
    """
    package = module.rsplit(".", 1)[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    """What a module of mrc_core imports although its layer must not."""
    layer = module.split(".")[1] if "." in module else ""
    found = []
    for name in imported_modules(source, module):
        top, *below = name.split(".")
        if top in ROS_PACKAGES or top.endswith("_msgs"):
            found.append(f"{module} imports {name}: mrc_core knows no ROS")
        elif top == "mrc_core" and below and below[0] != layer and not _is_allowed(layer, ".".join(below)):
            found.append(f"{module} imports {name}: {layer or 'mrc_core'} may import {ALLOWED.get(layer, ())}")
    return found


def _is_allowed(layer: str, name: str) -> bool:
    if name.split(".")[0] not in ALLOWED:
        return layer == "cli" or not name[0].islower()  # e.g. mrc_core.__version__
    return any(name == allowed or name.startswith(allowed + ".") for allowed in ALLOWED.get(layer, ()))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    # A package's __init__ keeps its name here: relative imports then count from the package itself.
    return ".".join(parts)


CORE_FILES = sorted((ROOT / "mrc_core").rglob("*.py"))


def test_every_layer_is_in_the_table():
    layers = {path.parent.name for path in (ROOT / "mrc_core").glob("*/__init__.py")}
    assert layers == set(ALLOWED), "name a new layer, and what it may import, in the table of this test"


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_of_the_library(path: Path):
    assert violations(path.read_text(), module_name(path)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mrc_core.geometry.crops", "from mrc_core.model import MRCNet"),
        ("mrc_core.geometry.crops", "import mrc_core.rendering.interface"),
        ("mrc_core.geometry.crops", "def late():\n    from mrc_core import data"),
        ("mrc_core.geometry.__init__", "from ..model.network import MRCNet"),
        ("mrc_core.model.network", "from mrc_core.rendering import create_renderer"),
        ("mrc_core.data.scenes", "from mrc_core.rendering import create_renderer"),
        ("mrc_core.data.scenes", "from mrc_core.rendering.warp_renderer import WarpRenderer"),
        ("mrc_core.evaluation.scores", "from mrc_core.inference import PoseEstimator"),
        ("mrc_core.evaluation.summary", "from mrc_core.reporting import write_report"),
        ("mrc_core.reporting.pictures", "from mrc_core.rendering import create_renderer"),
        ("mrc_core.inference.bundle", "from mrc_core.training.checkpoint import load"),
        ("mrc_core.inference.estimator", "from mrc_core.evaluation import add"),
        ("mrc_core.training.trainer", "from mrc_core.rendering.warp_renderer import WarpRenderer"),
        ("mrc_core.training.trainer", "from mrc_core.cli import main"),
        ("mrc_core.cli.train", "import rclpy"),
        ("mrc_core.cli.train", "from sensor_msgs.msg import Image"),
        ("mrc_core.cli.train", "from mrc_net_ros import conversions"),
        ("mrc_core.__init__", "from mrc_core.cli import main"),
    ],
)
def test_a_violation_is_found(module: str, source: str):
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mrc_core.geometry.crops", "from mrc_core.geometry.cameras import Camera\nimport numpy"),
        ("mrc_core.geometry.crops", "from . import cameras\nfrom .cameras import Camera"),
        ("mrc_core.training.trainer", "from mrc_core.rendering.interface import Renderer"),
        ("mrc_core.inference.estimator", "from mrc_core.rendering import create_renderer"),
        ("mrc_core.cli.info", "from mrc_core import __version__"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str):
    assert violations(source, module) == []


def test_an_estimator_loads_without_training_evaluation_or_ros():
    forbidden = ["mrc_core.training", "mrc_core.evaluation", "mrc_core.data", "mrc_core.cli", "mrc_net_ros", "rclpy"]
    code = (
        "import sys\n"
        "from mrc_core.inference import PoseEstimator\n"
        "assert PoseEstimator.from_bundle\n"
        f"print([name for name in {forbidden} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
