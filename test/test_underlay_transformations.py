"""What the nodes rely on in tf_transformations; holds for the real package as for the stand-in."""

from __future__ import annotations

import numpy as np
import pytest

tft = pytest.importorskip("tf_transformations")
HALF = np.sqrt(0.5)


def same_rotation(a, b, tolerance: float = 1e-9) -> bool:
    return abs(abs(float(np.dot(a, b))) - 1.0) < tolerance


def test_quaternions_are_xyzw():
    np.testing.assert_allclose(tft.quaternion_from_euler(np.pi / 2, 0, 0), [HALF, 0, 0, HALF], atol=1e-12)
    np.testing.assert_allclose(tft.quaternion_from_euler(0, 0, np.pi / 2), [0, 0, HALF, HALF], atol=1e-12)


def test_a_quarter_turn_about_z_takes_x_to_y():
    matrix = tft.quaternion_matrix([0, 0, HALF, HALF])
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [0, 1, 0, 1], atol=1e-12)


def test_roll_pitch_yaw_turn_about_fixed_axes():
    roll, pitch, yaw = 0.3, -0.4, 1.1
    turn = [tft.rotation_matrix(a, axis) for a, axis in zip((roll, pitch, yaw), np.eye(3))]
    expected = turn[2] @ turn[1] @ turn[0]
    np.testing.assert_allclose(tft.quaternion_matrix(tft.quaternion_from_euler(roll, pitch, yaw)), expected, atol=1e-12)
    np.testing.assert_allclose(tft.euler_matrix(roll, pitch, yaw), expected, atol=1e-12)
    np.testing.assert_allclose(tft.euler_from_matrix(expected), (roll, pitch, yaw), atol=1e-12)


def test_moving_axes_in_the_reverse_order_are_the_same_turn():
    fixed = tft.quaternion_from_euler(0.3, -0.4, 1.1, "sxyz")
    moving = tft.quaternion_from_euler(1.1, -0.4, 0.3, "rzyx")
    assert same_rotation(fixed, moving)
    np.testing.assert_allclose(tft.euler_from_quaternion(fixed, "rzyx"), (1.1, -0.4, 0.3), atol=1e-9)


def test_a_matrix_and_its_quaternion_agree():
    rng = np.random.default_rng(1)
    for _ in range(50):
        quat_xyzw = rng.normal(size=4)
        quat_xyzw /= np.linalg.norm(quat_xyzw)
        back = tft.quaternion_from_matrix(tft.quaternion_matrix(quat_xyzw))
        assert same_rotation(back, quat_xyzw)
        assert back[3] >= 0


def test_half_turns_have_a_quaternion():
    for axis in np.eye(3):
        quat_xyzw = tft.quaternion_from_matrix(tft.rotation_matrix(np.pi, axis))
        assert same_rotation(quat_xyzw, [*axis, 0], 1e-6)


def test_the_product_turns_by_the_right_factor_first():
    a, b = tft.quaternion_from_euler(0.2, 0.5, -0.3), tft.quaternion_from_euler(-1.0, 0.1, 0.7)
    product = tft.quaternion_matrix(a) @ tft.quaternion_matrix(b)
    np.testing.assert_allclose(tft.quaternion_matrix(tft.quaternion_multiply(a, b)), product, atol=1e-12)
    np.testing.assert_allclose(tft.quaternion_multiply([1, -2, 3, 4], [-5, 6, 7, 8]), [-44, -14, 48, 28])


def test_the_inverse_undoes():
    quat_xyzw = tft.quaternion_from_euler(0.2, 0.5, -0.3)
    product = tft.quaternion_multiply(quat_xyzw, tft.quaternion_inverse(quat_xyzw))
    np.testing.assert_allclose(product, [0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(tft.quaternion_conjugate(quat_xyzw)[:3], -quat_xyzw[:3])


def test_matrices_are_chained_from_left_to_right():
    move, turn = tft.translation_matrix([1, 2, 3]), tft.rotation_matrix(np.pi / 2, [0, 0, 1])
    chained = tft.concatenate_matrices(move, turn)
    np.testing.assert_allclose(chained, move @ turn)
    np.testing.assert_allclose(tft.translation_from_matrix(chained), [1, 2, 3])
    np.testing.assert_allclose(tft.inverse_matrix(chained) @ chained, tft.identity_matrix(), atol=1e-12)


def test_slerp_goes_half_way():
    end = tft.quaternion_about_axis(1.0, [0, 1, 0])
    assert same_rotation(tft.quaternion_slerp([0, 0, 0, 1], end, 0.5), tft.quaternion_about_axis(0.5, [0, 2, 0]))
