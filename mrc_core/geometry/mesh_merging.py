"""Parts of a mesh file into one mesh: shared vertices, normals, and one texture."""

from __future__ import annotations

import numpy as np

from mrc_core.geometry.mesh_atlas import pack_atlas
from mrc_core.geometry.mesh_loading import MeshPart
from mrc_core.geometry.mesh_normals import corner_normals

_GREY = 178


def merge_parts(parts: list[MeshPart], name: str) -> dict[str, np.ndarray | None]:
    """The arrays of a Mesh (see its attributes), still in the file's unit.

    Raises:
        ValueError: NaN, faces out of range, or a mix of textures and varying vertex colours.
    """
    parts = [_with_normals(part, name) for part in parts]
    uv, texture, colors = _merge_appearance(parts, name)
    offsets = np.cumsum([0] + [len(part.vertices) for part in parts])
    return {
        "vertices": np.concatenate([part.vertices for part in parts]),
        "faces": np.concatenate([part.faces + start for part, start in zip(parts, offsets)]),
        "normals": np.concatenate([part.normals for part in parts]),
        "uv": uv,
        "texture": texture,
        "vertex_colors": colors,
    }


def _with_normals(part: MeshPart, name: str) -> MeshPart:
    count = len(part.vertices)
    bad = int((~np.isfinite(part.vertices).all(axis=1)).sum())
    if bad:
        raise ValueError(f"mesh '{name}': {bad} of {count} vertices are NaN or infinite")
    if part.faces.min() < 0 or part.faces.max() >= count:
        raise ValueError(
            f"mesh '{name}': faces name vertices {part.faces.min()} to {part.faces.max()}, but there are only {count}"
        )
    if part.normals is not None:
        return part
    normals = corner_normals(part.vertices, part.faces).reshape(-1, 3)
    corner = part.faces.reshape(-1)
    # Corners become one vertex where everything that a vertex carries is the same.
    columns = [part.vertices[corner], np.round(normals * 1e4)]
    columns += [value[corner] for value in (part.uv, part.colors) if value is not None]
    _, first, inverse = np.unique(
        np.concatenate(columns, axis=1), axis=0, return_index=True, return_inverse=True
    )
    kept = corner[first]
    return MeshPart(
        part.vertices[kept],
        inverse.reshape(-1, 3),
        normals[first],
        None if part.uv is None else part.uv[kept],
        part.image,
        None if part.colors is None else part.colors[kept],
    )


def _merge_appearance(
    parts: list[MeshPart], name: str
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    if all(part.image is None for part in parts):
        if all(part.colors is None for part in parts):
            return None, None, None
        return None, None, np.concatenate([_colors_or_grey(part) for part in parts])
    images: list[np.ndarray] = []
    chosen: list[int] = []
    uvs: list[np.ndarray] = []
    for part in parts:
        if part.image is not None and part.uv is not None:
            image, uv = part.image, part.uv
        else:
            color = _colors_or_grey(part)
            if (color != color[0]).any():
                raise ValueError(
                    f"mesh '{name}' mixes textures with varying vertex colours: bake its colours into one texture"
                )
            image, uv = np.tile(color[0], (4, 4, 1)), np.full((len(part.vertices), 2), 0.5)
        known = [
            i for i, other in enumerate(images) if other.shape == image.shape and np.array_equal(other, image)
        ]
        if not known:
            images.append(image)
        chosen.append(known[0] if known else len(images) - 1)
        uvs.append(uv)
    if len(images) == 1:
        return np.concatenate(uvs), images[0], None
    uvs, texture = pack_atlas(images, chosen, uvs, name)
    return np.concatenate(uvs), texture, None


def _colors_or_grey(part: MeshPart) -> np.ndarray:
    return np.full((len(part.vertices), 3), _GREY, np.uint8) if part.colors is None else part.colors
