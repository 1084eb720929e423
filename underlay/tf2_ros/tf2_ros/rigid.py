"""Rigid transforms as a quaternion (xyzw) and a translation, and how to go half way between two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rigid:
    """parent_from_child: p_parent = rotation(quat_xyzw) p_child + translation."""

    quat_xyzw: np.ndarray  # (4,), unit
    translation: np.ndarray  # (3,), metres

    @classmethod
    def identity(cls) -> Rigid:
        return cls(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))

    def then(self, other: Rigid) -> Rigid:
        """a_from_b.then(b_from_c) is a_from_c."""
        return Rigid(_product(self.quat_xyzw, other.quat_xyzw), self.rotate(other.translation) + self.translation)

    def inverse(self) -> Rigid:
        back = Rigid(self.quat_xyzw * np.array([-1.0, -1.0, -1.0, 1.0]), np.zeros(3))
        return Rigid(back.quat_xyzw, -back.rotate(self.translation))

    def rotate(self, vector: np.ndarray) -> np.ndarray:
        axis, w = self.quat_xyzw[:3], self.quat_xyzw[3]
        twice = 2.0 * np.cross(axis, vector)
        return vector + w * twice + np.cross(axis, twice)

    def towards(self, other: Rigid, fraction: float) -> Rigid:
        """The rotation on the shorter arc and the translation on the straight line, 0: self, 1: other."""
        quat, cosine = other.quat_xyzw, float(self.quat_xyzw @ other.quat_xyzw)
        if cosine < 0:
            quat, cosine = -quat, -cosine
        if cosine > 1 - 1e-12:  # the same rotation but for rounding: the arc's sine would divide by zero
            mixed = self.quat_xyzw * (1 - fraction) + quat * fraction
        else:
            angle = np.arccos(cosine)
            mixed = self.quat_xyzw * np.sin((1 - fraction) * angle) + quat * np.sin(fraction * angle)
        translation = self.translation * (1 - fraction) + other.translation * fraction
        return Rigid(mixed / np.linalg.norm(mixed), translation)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])
