"""Object models of a BOP data set: the points that errors are measured on, diameter, symmetries, mesh."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trimesh.exchange.ply import load_ply

from mrc_core.data.bop_files import BopDataError, read_json
from mrc_core.geometry.mesh import Mesh
from mrc_core.geometry.symmetries import SymmetrySet

# YCB-V's numbers do not tell which object is which; the names are those of the YCB object set.
YCBV_NAMES = dict(
    enumerate(
        [
            *("002_master_chef_can", "003_cracker_box", "004_sugar_box", "005_tomato_soup_can"),
            *("006_mustard_bottle", "007_tuna_fish_can", "008_pudding_box", "009_gelatin_box"),
            *("010_potted_meat_can", "011_banana", "019_pitcher_base", "021_bleach_cleanser", "024_bowl", "025_mug"),
            *("035_power_drill", "036_wood_block", "037_scissors", "040_large_marker", "051_large_clamp"),
            *("052_extra_large_clamp", "061_foam_brick"),
        ],
        start=1,
    )
)


@dataclass(frozen=True, eq=False)
class BopObject:
    """One object of a data set. Lengths are metres.

    Attributes:
        obj_id: its number in the data set.
        name: what a report calls it, and what a bundle's class is compared with.
        path: the model that errors are measured on.
        diameter: of models_info.json, else measured.
        symmetries: of models_info.json.
    """

    obj_id: int
    name: str
    path: Path
    diameter: float
    symmetries: SymmetrySet

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Every vertex of the file, (N, 3), metres: as stored, neither merged nor split.

        Raises:
            BopDataError: the file is missing or damaged.
        """
        return read_points(self.path)

    @cached_property
    def mesh(self) -> Mesh:
        """The model as a renderer takes it.

        Raises:
            FileNotFoundError, ValueError: see `Mesh.load`.
        """
        return Mesh.load(self.path, unit="mm")


def read_points(path: Path) -> NDArray[np.float64]:
    """Vertices (N, 3), metres, of a ply file in millimetres.

    Raises:
        BopDataError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            loaded = load_ply(file, fix_texture=False, skip_materials=True, prefer_color="vertex")
    except FileNotFoundError:
        raise BopDataError(f"{path} is missing: unpack the data set's models again") from None
    except Exception as error:  # the reader raises what its parsing happens to meet
        raise BopDataError(f"{path} cannot be read, it is damaged ({type(error).__name__}: {error})") from error
    points = np.asarray(loaded["vertices"], dtype=np.float64) / 1000
    if points.ndim != 2 or len(points) == 0 or not np.isfinite(points).all():
        raise BopDataError(f"{path} has no vertices, or some that are not finite")
    return points


def models_folder(root: Path) -> Path:
    """Where the models for errors are: models_eval, else models, else the only folder that begins with models.

    Raises:
        BopDataError: there is none.
    """
    for name in ("models_eval", "models"):
        if (root / name / "models_info.json").is_file():
            return root / name
    others = sorted(p.parent for p in root.glob("models*/models_info.json"))
    if not others:
        raise BopDataError(f"{root} has no models_eval/models_info.json: unpack the data set's models there")
    return others[0]


def load_objects_info(root: Path, dataset_name: str) -> dict[int, BopObject]:
    """All objects of a data set; their points and meshes are read when they are first asked for.

    Raises:
        BopDataError: models_info.json is missing or wrong.
    """
    folder = models_folder(root)
    info = read_json(folder / "models_info.json")
    names = {**(YCBV_NAMES if dataset_name == "ycbv" else {}), **_given_names(root)}
    out = {}
    try:
        for key, entry in sorted(info.items(), key=lambda item: int(item[0])):
            obj_id = int(key)
            out[obj_id] = BopObject(
                obj_id,
                names.get(obj_id, f"obj_{obj_id:06d}"),
                folder / f"obj_{obj_id:06d}.ply",
                float(entry["diameter"]) / 1000,
                SymmetrySet.from_bop(entry),
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BopDataError(f"{folder / 'models_info.json'} is not as BOP has it: {error!r}") from error
    return out


def _given_names(root: Path) -> dict[int, str]:
    """Names that `mrc-net synthesize` leaves in models_info.json."""
    names: dict[int, str] = {}
    for path in (root / "models_eval" / "models_info.json", root / "models" / "models_info.json"):
        if path.is_file():
            info: dict[str, Any] = read_json(path)
            names |= {int(key): str(entry["name"]) for key, entry in info.items() if "name" in entry}
    return names
