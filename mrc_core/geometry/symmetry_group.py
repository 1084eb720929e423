"""Groups of rotations: completed from a few measured ones, made exact, taken apart into axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mrc_core.geometry.symmetry_samples import Array

LARGEST_GROUP = 60  # of an icosahedron; the prisms of order 12 have 24
_SAME_RAD = np.deg2rad(8.0)  # measured rotations that are nearer to each other are one
_ON_AXIS_RAD = np.deg2rad(0.25)  # an axis that near to x, y or z is meant to be it


@dataclass(frozen=True, eq=False)
class GroupAxis:
    """An axis of a group: its unit direction (3,), and how many turns about it the group has, with the identity."""

    direction: Array
    order: int


def completed(rotations: Sequence[Array]) -> Array:
    """The smallest group (E, 3, 3), identity first, that has all the rotations (3, 3); it is exact to rounding.

    Raises:
        ValueError: they belong to no finite group of a known size: no object has all of them.
    """
    elements = [np.eye(3)]
    for element in elements:  # grows on the way
        for generator in rotations:
            product = element @ generator
            if _angles(np.stack(elements), product).min() > _SAME_RAD:
                elements.append(product)
                if len(elements) > LARGEST_GROUP:
                    raise ValueError(
                        "these turns do not go together: no object is symmetric under all of them"
                    )
    return exact(np.stack(elements))


def exact(elements: Array) -> Array:
    """Rotations (E, 3, 3) that are nearly a group, moved by a little so that they are one.

    Each element k becomes the mean over all a of a^-1 (a k): errors are squared in every round (Grove, Karcher, Ruh).

    Raises:
        ValueError: they are nearly no group.
    """
    count = len(elements)
    products = elements[:, None] @ elements[None]  # (E, E, 3, 3)
    table = np.einsum("abij,kij->abk", products, elements).argmax(axis=2)
    if any(len(set(row)) < count for row in [*table.tolist(), *table.T.tolist()]):
        raise ValueError("these turns do not go together: no object is symmetric under all of them")
    for _ in range(10):
        means = np.einsum("aji,akjl->kil", elements, elements[table])
        better = nearest_rotations(means)
        better = np.where(np.abs(better - np.round(better)) < 1e-12, np.round(better), better)
        change, elements = float(np.abs(better - elements).max()), better
        if change < 1e-14:
            break
    return elements


def nearest_rotations(matrices: Array) -> Array:
    """The rotations (..., 3, 3) nearest to matrices (..., 3, 3)."""
    u, _, v = np.linalg.svd(matrices)
    u[..., -1] *= np.linalg.det(u @ v)[..., None]
    return u @ v


def _angles(elements: Array, rotation: Array) -> Array:
    """Angles (E,) between rotations (E, 3, 3) and one (3, 3)."""
    chord = np.linalg.norm(elements - rotation, axis=(1, 2)) / (2 * np.sqrt(2))
    return 2 * np.arcsin(chord.clip(max=1))


def index_in(elements: Array, rotation: Array) -> int:
    """Which of the elements (E, 3, 3) is meant by a rotation (3, 3)."""
    return int(_angles(elements, rotation).argmin())


def axes_of(elements: Array) -> list[GroupAxis]:
    """All axes of a group (E, 3, 3), those with the most turns first."""
    found: list[tuple[Array, int]] = []
    for element in elements[1:]:
        direction = canonical(Rotation.from_matrix(element).as_rotvec())
        at = [i for i, (other, _) in enumerate(found) if abs(other @ direction) > np.cos(_SAME_RAD / 2)]
        if at:
            found[at[0]] = (found[at[0]][0], found[at[0]][1] + 1)
        else:
            found.append((direction, 2))
    return [GroupAxis(direction, order) for direction, order in sorted(found, key=lambda item: -item[1])]


def canonical(direction: Array) -> Array:
    """A line's direction as a unit vector whose largest part is positive."""
    unit = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    unit = np.where(np.abs(unit) < 1e-12, 0.0, unit)
    return unit * np.sign(unit[np.abs(unit).round(6).argmax()])


def frame_correction(directions: Sequence[Array]) -> Array:
    """The small rotation (3, 3) that brings axes that are within 0.25 degrees of x, y or z exactly there."""
    near, meant = [], []
    for direction in directions:
        which = int(np.abs(direction).argmax())
        target = np.eye(3)[which] * np.sign(direction[which])
        if np.linalg.norm(direction - target) < _ON_AXIS_RAD:
            near.append(direction)
            meant.append(target)
    if not near:
        return np.eye(3)
    return np.asarray(Rotation.align_vectors(np.stack(meant), np.stack(near))[0].as_matrix())
