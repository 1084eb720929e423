"""Which object of a BOP data set is which trained class, and whether the two are the same mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_objects import BopObject
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.objects import ObjectModel

TOLERANCE = 0.05  # of the diameter: models for errors are coarser than those with texture


def match_objects(dataset: BopDataset, objects: Sequence[ObjectModel], classes: Mapping[str, int]) -> dict[int, int]:
    """Places in `objects` by number in the data set; a class that the data set does not have is left out.

    A class is an object of the data set that `classes` names, else one with the same name: that of a report
    ("002_master_chef_can"), "obj_000002" or "2".

    Raises:
        BopDataError: a model is missing or damaged.
        ValueError: `classes` names no class or no object, or a class has another mesh, unit or origin than its object.
    """
    unknown = sorted(set(classes) - {item.class_id for item in objects})
    if unknown:
        raise ValueError(f"classes names {', '.join(unknown)}: no such class is trained")
    by_name = {name: obj_id for obj_id, item in dataset.objects.items() for name in object_names(item)}
    out: dict[int, int] = {}
    for index, item in enumerate(objects):
        obj_id = classes.get(item.class_id, by_name.get(item.class_id))
        if obj_id is None:
            continue
        if obj_id not in dataset.objects:
            raise ValueError(f"{item.class_id}: {dataset.name} has no object {obj_id}")
        _check_mesh(item, dataset.objects[obj_id], dataset.name)
        out[obj_id] = index
    return out


def object_names(item: BopObject) -> tuple[str, str, str]:
    """What a class may be called to be this object: its report's name, obj_000001 or 1."""
    return item.name, f"obj_{item.obj_id:06d}", str(item.obj_id)


def bounding_box_gap(ours: Mesh, there: BopObject) -> float:
    """How far the bounding boxes of a class's mesh and of the data set's model are apart, metres, at the worst side.

    Raises:
        BopDataError: the model is missing or damaged.
    """
    mine, theirs = ours.vertices[np.unique(ours.faces)], there.points
    corners = (mine.min(axis=0) - theirs.min(axis=0), mine.max(axis=0) - theirs.max(axis=0))
    return float(np.abs(corners).max())


def _check_mesh(item: ObjectModel, there: BopObject, dataset: str) -> None:
    """The ground truth holds for the data set's mesh: another frame would teach a wrong pose without any sign of it."""
    gap = bounding_box_gap(item.mesh, there)
    if gap > TOLERANCE * there.diameter:
        raise ValueError(
            f"{item.class_id}: its mesh and {there.path} differ by {gap * 1000:.1f} mm in their bounding boxes; "
            f"poses of {dataset} hold for the data set's own mesh: train with that one, or correct `unit` or `classes`"
        )
