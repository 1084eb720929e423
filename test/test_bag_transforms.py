"""Transforms of a bag: chains with a known answer, interpolation, and what cannot be told."""

from __future__ import annotations

import node_harness as harness  # first: it sets ROS's environment
import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from mrc_net_ros.bag_frames import BagError
from mrc_net_ros.bags.transform_tree import NotKnown, TransformTree
from mrc_net_ros.bags.truth_tf import frames_of_classes


def message(
    stamp_s: float, parent: str, child: str, at: tuple[float, ...], turn_z_deg: float = 0.0
) -> TFMessage:
    """One transform, turned about z."""
    x, y, z, w = (float(v) for v in Rotation.from_euler("z", turn_z_deg, degrees=True).as_quat())
    one = TransformStamped(header=harness.header(stamp_s, parent), child_frame_id=child)
    one.transform.translation = Vector3(x=at[0], y=at[1], z=at[2])
    one.transform.rotation = Quaternion(x=x, y=y, z=z, w=w)
    return TFMessage(transforms=[one])


def tree() -> TransformTree:
    """world -> arm (moving) -> camera (fixed), and world -> table (fixed) -> box (moving)."""
    made = TransformTree()
    made.add(message(0.0, "arm", "camera", (0.0, 0.0, 1.0), 90.0), is_static=True)
    made.add(message(0.0, "world", "table", (0.0, 5.0, 0.0)), is_static=True)
    made.add(message(12.0, "world", "arm", (3.0, 0.0, 0.0), 40.0), is_static=False)  # not in order
    made.add(message(10.0, "world", "arm", (1.0, 0.0, 0.0), 0.0), is_static=False)
    made.add(message(10.0, "/table", "/box", (1.0, 0.0, 0.0)), is_static=False)
    made.add(message(12.0, "table", "box", (1.0, 2.0, 0.0)), is_static=False)
    return made


def test_a_chain_has_the_known_answer() -> None:
    # camera at (1, 0, 1), turned by 90 degrees: the box at (1, 5, 0) lies 5 along its x and 1 below
    found = tree().lookup("camera", "box", 10 * 10**9)
    assert found[:3, 3] == pytest.approx([5.0, 0.0, -1.0])
    assert found[:3, :3] == pytest.approx(np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]))
    assert tree().lookup("box", "camera", 10 * 10**9) == pytest.approx(np.linalg.inv(found))


def test_between_two_stamps_it_is_interpolated() -> None:
    found = tree().lookup("world", "arm", round(10.5e9))
    assert found[:3, 3] == pytest.approx([1.5, 0.0, 0.0])
    assert found[:3, :3] == pytest.approx(Rotation.from_euler("z", 10.0, degrees=True).as_matrix())
    assert tree().lookup("world", "box", 11 * 10**9)[:3, 3] == pytest.approx([1.0, 6.0, 0.0])


def test_nothing_is_extrapolated_or_invented() -> None:
    with pytest.raises(NotKnown, match=r"'box' is known from 10.000 to 12.000 s, not at 9.000 s"):
        tree().lookup("world", "box", 9 * 10**9)
    with pytest.raises(NotKnown, match="not connected"):
        tree().lookup("world", "elsewhere", 10 * 10**9)
    # the way to a common ancestor below the gap is known at any time
    assert tree().lookup("arm", "camera", 99 * 10**9)[:3, 3] == pytest.approx([0.0, 0.0, 1.0])


def test_what_is_no_tree_is_refused() -> None:
    made = tree()
    with pytest.raises(BagError, match="'box' has two parents in the bag, 'table' and 'arm'"):
        made.add(message(11.0, "arm", "box", (0.0, 0.0, 0.0)), is_static=False)
    made.add(message(0.0, "box", "world", (0.0, 0.0, 0.0)), is_static=True)
    with pytest.raises(BagError, match="part of a loop"):
        made.lookup("elsewhere", "box", 10 * 10**9)
    wrong = message(0.0, "a", "b", (0.0, 0.0, 0.0))
    wrong.transforms[0].transform.rotation.w = 3.0
    with pytest.raises(BagError, match="no unit quaternion"):
        made.add(wrong, is_static=True)


def test_frames_are_called_after_classes() -> None:
    frames = ["gt/tea_box", "gt/tea_box_2", "gt/tea", "gt/coffee", "tea", "gt/obj_2_cup_a"]
    found = frames_of_classes(frames, "gt/", ["tea", "tea_box", "2 cup"])
    assert found == {
        "gt/tea": "tea",
        "gt/tea_box": "tea_box",
        "gt/tea_box_2": "tea_box",
        "gt/obj_2_cup_a": "2 cup",
    }
