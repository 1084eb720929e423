"""What stands in a picture: props made of parts, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from objects.source.surface import Surface

Array = NDArray[np.float64]
Color = tuple[float, float, float]  # sRGB, 0..1
Material = dict[str, Any]  # JSON-able; the kinds are those of blender/patterns.py


@dataclass(frozen=True, eq=False)
class Part:
    """A surface of one material; texture (H, W, 3) uint8 sRGB at the surface's uv, for the material "print"."""

    surface: Surface
    material: Material
    texture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Prop:
    """Anything that can be put somewhere, in a frame of its own, z up.

    carries: its top is flat and firm enough for other things; deck: unit normal (3,) of a sloping top, if that is what
    carries; tips: may lie on its sides as well as stand.
    """

    kind: str
    parts: tuple[Part, ...]
    carries: bool = False
    deck: tuple[float, float, float] | None = None
    tips: bool = False

    @cached_property
    def vertices(self) -> Array:
        """Of all parts (V, 3), metres, prop frame."""
        return np.concatenate([part.surface.vertices for part in self.parts])

    @cached_property
    def faces(self) -> NDArray[np.int64]:
        """Of all parts (F, 3), indices into `vertices`."""
        counts = [len(part.surface.vertices) for part in self.parts]
        starts = np.cumsum([0, *counts[:-1]])
        return np.concatenate([part.surface.faces + start for part, start in zip(self.parts, starts)])


@dataclass(frozen=True, eq=False)
class Placed:
    """A prop at a pose world_from_prop (4, 4); obj_id: the data set's number of an object of ours, else 0."""

    prop: Prop
    world_from_prop: Array
    obj_id: int = 0

    @property
    def points(self) -> Array:
        """The vertices (V, 3) in the world."""
        return self.prop.vertices @ self.world_from_prop[:3, :3].T + self.world_from_prop[:3, 3]


def fixed(kind: str, surface: Surface, material: Material, texture: Any = None) -> Placed:
    """A thing of one part that is modelled where it stands."""
    return Placed(Prop(kind, (Part(surface, material, texture),)), np.eye(4))


def flat(color: Sequence[float], roughness: float = 0.6, **more: Any) -> Material:
    """The material of one colour; `more`: metallic, coat, bump_m and so on."""
    return {"kind": "flat", "color": [round(float(c), 4) for c in color], "roughness": roughness, **more}


def printed(roughness: float = 0.6, **more: Any) -> Material:
    """The material that shows the part's texture."""
    return {"kind": "print", "roughness": roughness, **more}
