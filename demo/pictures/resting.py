"""How things rest: poses on a plane that do not tip over, and what may stand on what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from .things import Placed, Prop

Array = NDArray[np.float64]
CONTACT_M = 2e-4  # points this near to the lowest carry
LEAST_TOP_M2 = 2.5e-3  # a smaller top carries nothing
EDGE_M = 0.006  # weight keeps this far from the rim of what carries it


@dataclass(frozen=True, eq=False)
class Rest:
    """Orientations world_from_prop (S, 3, 3) in which a prop rests, and their probabilities (S,); the first stands."""

    rotations: Array
    probability: Array


@dataclass(frozen=True, eq=False)
class Top:
    """A flat top that can carry.

    plane: rotation world_from_plane (3, 3), its third column the normal; origin: a point of it (3,);
    outline_xy: its convex outline seen from above (N, 2), metres.
    """

    plane: Array
    origin: Array
    outline_xy: Array


_KNOWN: dict[bytes, Rest] = {}  # by shape: the objects of ours come again in every picture


def resting(prop: Prop) -> Rest:
    """The stable poses of a rigid body of even density, the upright one first; computed once for each shape."""
    shape = hashlib.sha256(prop.vertices.tobytes() + prop.faces.tobytes()).digest()
    if shape not in _KNOWN:
        hull, centre = _body(prop)
        poses, probability = trimesh.poses.compute_stable_poses(
            hull, center_mass=centre, sigma=0, n_samples=1
        )
        upright = np.argmax(poses[:, 2, 2] * (poses[:, 2, 2] > 1 - 1e-6))
        order = [upright, *(i for i in range(len(poses)) if i != upright)]
        _KNOWN[shape] = Rest(poses[order, :3, :3], probability[order] / probability.sum())
    return _KNOWN[shape]


@lru_cache(maxsize=32)
def _body(prop: Prop) -> tuple[trimesh.Trimesh, Array]:
    """Convex hull and centre of mass (3,) of a prop."""
    solid = trimesh.Trimesh(prop.vertices, prop.faces, process=True)
    solid.merge_vertices(merge_norm=True, merge_tex=True)
    hull = solid.convex_hull
    # for an open surface the mesh's own centre of mass means nothing
    return hull, np.asarray(solid.center_mass if solid.is_watertight else hull.center_mass)


def draw_rotation(rest: Rest, standing: float, rng: np.random.Generator) -> Array:
    """An orientation (3, 3): upright with the probability `standing`, else any stable one; turned by any angle."""
    row = 0 if rng.random() < standing else rng.choice(len(rest.probability), p=rest.probability)
    return turn_about_z(rng.uniform(0, 2 * np.pi)) @ rest.rotations[row]


def turn_about_z(angle: float) -> Array:
    """Rotation (3, 3) by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def pose_on(top: Top, prop: Prop, rotation: Array, at_xy: Array) -> Array:
    """world_from_prop (4, 4) of a prop whose lowest points touch a top; its bounding box's middle is above `at_xy`."""
    turned = top.plane @ rotation
    points = prop.vertices @ turned.T
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    shift = np.array([at_xy[0] - middle[0], at_xy[1] - middle[1], 0.0])
    normal = top.plane[:, 2]
    gap = ((points + shift - top.origin) @ normal).min()
    shift[2] -= gap / normal[2]
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned, shift
    return pose


def stands_firmly(top: Top, prop: Prop, pose: Array) -> bool:
    """Whether a prop's weight comes down well inside both of the top and of what touches it."""
    points = prop.vertices @ pose[:3, :3].T + pose[:3, 3]
    height = (points - top.origin) @ top.plane[:, 2]
    contact = points[height < height.min() + CONTACT_M, :2]
    weight = pose[:2, :3] @ _body(prop)[1] + pose[:2, 3]
    return all(_inside(outline, weight) > EDGE_M for outline in (contact, top.outline_xy))


def find_top(placed: Placed) -> Top | None:
    """The flat top of a prop as it lies, or None where it has none that carries."""
    prop, points = placed.prop, placed.points
    normal = np.array([0.0, 0.0, 1.0])
    if prop.deck is not None:
        normal = placed.world_from_prop[:3, :3] @ np.array(prop.deck)
        if normal[2] < 0.9:
            return None
    height = points @ normal
    high = height > height.max() - CONTACT_M
    outline = points[high, :2]
    if len(outline) < 3:
        return None
    corners = cv2.convexHull(outline.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    faces = prop.faces[high[prop.faces].all(axis=1)]
    u, v = (points[faces[:, i], :2] - points[faces[:, 0], :2] for i in (1, 2))
    solid = 0.5 * float(np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum())
    area = float(cv2.contourArea(corners.astype(np.float32)))
    if area < LEAST_TOP_M2 or solid < 0.9 * area:
        return None
    return Top(_plane(normal), points[high][0], corners)


def table_top(size: tuple[float, float]) -> Top:
    """The table's own, (x, y) metres, about the origin."""
    x, y = size[0] / 2, size[1] / 2
    return Top(np.eye(3), np.zeros(3), np.array([[-x, -y], [x, -y], [x, y], [-x, y]]))


def _plane(normal: Array) -> Array:
    """The rotation (3, 3) that takes z to a normal on the shortest way."""
    axis = np.cross([0.0, 0.0, 1.0], normal)
    sine = np.linalg.norm(axis)
    if sine < 1e-12:
        return np.eye(3)
    return cv2.Rodrigues(axis / sine * np.arctan2(sine, normal[2]))[0]


def _inside(points_xy: Array, at: Array) -> float:
    """How far a place lies inside the convex hull of points (N, 2), metres; negative outside."""
    hull = cv2.convexHull(points_xy.astype(np.float32))
    return float(cv2.pointPolygonTest(hull, (float(at[0]), float(at[1])), True))
