"""`pip install .`: the library mrc_core and the `mrc-net` command, without ROS and without a compiler.

The ROS package is built from CMakeLists.txt and package.xml by colcon; the two share no installed file.
Versions are pinned in constraints.txt: `pip install -c constraints.txt .`
"""

from setuptools import find_packages, setup

LIBRARY = [
    "numpy>=1.21",
    "opencv-python-headless>=4.5,<5",
    "pillow",
    "pydantic>=2",
    "PyYAML",
    "rich",
    "safetensors",
    "scipy>=1.8",
    "torch>=2.4",
    "trimesh",
    "warp-lang>=1.14",
]

EXTRAS = {
    # The charts of the evaluation's report; the scores themselves need nothing more.
    "report": ["matplotlib>=3.7"],
    # The second renderer, which the tests and the benchmark compare with. It needs EGL.
    "pyrender": ["pyrender-maintained"],
    # Curves and pictures of training runs; without it they are left out.
    "train": ["tensorboard"],
    # Reads and writes recorded bags without a ROS installation.
    "bags": ["rosbags"],
    # Makes the demo's objects and pictures anew. Blender as a module exists for Python 3.11 alone.
    "demo-assets": ["bpy==4.2.0; python_version == '3.11'", "manifold3d"],
    "test": ["pytest"],
    "lint": ["mypy", "ruff", "types-PyYAML"],
    # ROS 2 itself as wheels, for a host without a ROS installation (Linux, x86-64).
    "ros": [
        "ros-kilted-diagnostic-msgs",
        "ros-kilted-geometry-msgs",
        "ros-kilted-lifecycle-msgs",
        "ros-kilted-rclpy[fastrtps]",
        "ros-kilted-rosgraph-msgs",
        "ros-kilted-sensor-msgs",
        "ros-kilted-std-msgs",
        "ros-kilted-std-srvs",
        "ros-kilted-visualization-msgs",
    ],
    # What the interface packages of underlay/ and msg/ are built with.
    "ros-build": [
        "catkin-pkg",
        "cmake<4",
        "ninja",
        "ros-kilted-ament-cmake",
        "ros-kilted-ament-cmake-include-directories",
        "ros-kilted-ament-cmake-ros-core",
        "ros-kilted-ament-package",
        "ros-kilted-rosidl-core-generators",
        "ros-kilted-rosidl-core-runtime",
        "ros-kilted-rosidl-default-generators",
        "scikit-build-core>=0.10",
        "setuptools<80",
    ],
}

setup(
    packages=find_packages(include=["mrc_core", "mrc_core.*"]),
    package_data={"mrc_core.reporting": ["page.css", "published_*.csv"]},
    install_requires=LIBRARY,
    extras_require=EXTRAS,
    # A script, not an entry point: what it starts is the ROS package, which pip does not install.
    scripts=["scripts/commands/mrc-net-evaluate-bag"],
)
