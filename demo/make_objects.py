#!/usr/bin/env python3
"""Write the demo's objects: ``python demo/make_objects.py`` (needs manifold3d beside numpy, trimesh and pillow).

Deterministic: the same versions of these packages give the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml
from objects.source import bracket, flask, tea_box, toolbox

DEMO = Path(__file__).resolve().parent
BUILDERS = {
    "tea_box": tea_box.build,
    "bracket": bracket.build,
    "toolbox": toolbox.build,
    "flask": flask.build,
}
HALF_TURN_ABOUT_Z = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
SYMMETRIES: dict[str, dict[str, list]] = {
    "toolbox": {"symmetries_discrete": [HALF_TURN_ABOUT_Z], "symmetries_continuous": []},
    "flask": {"symmetries_discrete": [], "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]},
}
HEADER = """\
# The demo's objects, written by demo/make_objects.py. Symmetries as in BOP's models_info: 4x4 matrices row by row,
# without the identity, and axes with a point on them, in the mesh's unit.
"""


def main() -> None:
    """Build every object and write <class_id>.glb and objects.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=DEMO / "objects", help="folder to write to")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for class_id, build in BUILDERS.items():
        mesh = build()
        path = folder / f"{class_id}.glb"
        path.write_bytes(mesh.export(file_type="glb", include_normals=True))
        symmetries = SYMMETRIES.get(class_id, {"symmetries_discrete": [], "symmetries_continuous": []})
        entries.append({"class_id": class_id, "mesh": path.name, "unit": "m", **symmetries})
        hull = mesh.convex_hull.vertices
        diameter = np.linalg.norm(hull[:, None] - hull[None], axis=2).max()
        size = " x ".join(f"{extent:.3f}" for extent in mesh.extents)
        print(f"{class_id:8s} {size} m, diameter {diameter:.3f} m, {len(mesh.faces)} triangles")
    text = yaml.safe_dump({"objects": entries}, sort_keys=False, default_flow_style=None, width=110)
    (folder / "objects.yaml").write_text(HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    main()
