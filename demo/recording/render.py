"""Take every picture of the recording; what is there is kept, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import time
from pathlib import Path

from .layout import Item
from .trajectory import camera_poses


def frame_path(folder: Path, index: int) -> Path:
    """Where the picture of frame `index` lies."""
    return folder / f"frame_{index:03d}.png"


def render_missing(items: list[Item], folder: Path, samples: int, threads: int) -> None:
    """Render the frames that `folder` lacks.

    Raises ModuleNotFoundError, naming the remedy, if frames are missing and Blender's module is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    poses = camera_poses()
    missing = [index for index in range(len(poses)) if not frame_path(folder, index).exists()]
    if not missing:
        return
    try:
        from .blender_scene import Photographer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{len(missing)} pictures are missing in {folder} and rendering them needs Blender's module: "
            "pip install bpy==4.2.0"
        ) from error
    photographer = Photographer(items, samples, threads)
    start = time.monotonic()
    for done, index in enumerate(missing, start=1):
        photographer.shoot(poses[index], frame_path(folder, index))
        left = (time.monotonic() - start) / done * (len(missing) - done)
        print(
            f"frame {index:3d} rendered, {len(missing) - done} to go, about {left / 60:.0f} min left",
            flush=True,
        )
