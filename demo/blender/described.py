"""Renders described pictures; see `pictures/describing.py` for what a description has.

    cd demo && BLENDER_PYTHON -m blender.described FOLDER --samples 14 --threads 2

Renders every picture of FOLDER/descriptions whose raw one is not in FOLDER/raw. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from .camera import add_camera, blender_pose
from .engine import empty_scene, render_to
from .lights import add_area_light, add_point_light, add_sky, add_sun
from .patterns import described_material
from .things import add_thing

Array = NDArray[np.float64]
MID_FRAME = 1  # the exposure is one frame long, half of it before this one


def build_scene(folder: Path, content: dict[str, Any], samples: int, threads: int) -> bpy.types.Scene:
    """The scene of a description, ready to be rendered into 16 bits, linear, 65535 being `raw_white`."""
    size = (content["size"][0], content["size"][1])
    scene = empty_scene(size, samples, threads, content["seed"])
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "TIFF"  # Blender's 16-bit PNGs make libpng complain
    scene.render.image_settings.tiff_codec = "DEFLATE"
    scene.render.image_settings.color_depth = "16"
    scene.render.dither_intensity = 0.0
    scene.cycles.use_light_tree = False  # no gain with a handful of lamps, and slower
    scene.cycles.film_exposure = 1.0 / content["raw_white"]
    for entry in content["things"]:
        shape = _read_shape(folder / "shapes" / f"{entry['shape']}.npz")
        material = described_material(entry["name"], entry["material"], shape.texture)
        add_thing(scene, entry["name"], shape, np.array(entry["world_from_thing"]), material)
    for light in content["lights"]:
        _add_light(scene, light)
    camera = add_camera(scene, np.array(content["K"]), size)
    _focus(camera, content["lens"])
    _expose(scene, camera, np.array(content["cam_from_world"]), content["motion"])
    return scene


def _read_shape(path: Path) -> SimpleNamespace:
    with np.load(path) as arrays:
        return SimpleNamespace(
            **{key: arrays.get(key) for key in ("vertices", "normals", "faces", "uv", "colors", "texture")}
        )


def _add_light(scene: bpy.types.Scene, light: dict[str, Any]) -> None:
    kind = light["kind"]
    if kind == "area":
        size = (light["size"][0], light["size"][1])
        at, towards = light["at"], light["towards"]
        lamp = add_area_light(scene, "lamp", at, towards, size, light["power_w"], light["color"])
        lamp.visible_camera = light["seen"]  # Blender hides lamps from cameras
    elif kind == "point":
        add_point_light(scene, "lamp", light["at"], light["radius"], light["power_w"], light["color"])
    elif kind == "sun":
        add_sun(scene, light["direction"], light["irradiance"], light["color"], light["angle_deg"])
    else:
        add_sky(scene, light)


def _focus(camera: bpy.types.Object, lens: dict[str, float]) -> None:
    depth = camera.data.dof
    depth.use_dof = lens["f_number"] > 0
    if depth.use_dof:
        depth.focus_distance, depth.aperture_fstop = lens["focus_m"], lens["f_number"]


def _expose(
    scene: bpy.types.Scene, camera: bpy.types.Object, cam_from_world: Array, motion: dict[str, list[float]]
) -> None:
    """Places the camera, and moves it through that place where it moves during the exposure."""
    turn, shift = np.array(motion["turn_rad"]), np.array(motion["shift_m"])
    camera.rotation_mode = "QUATERNION"
    scene.frame_set(MID_FRAME)
    if not (turn.any() or shift.any()):
        camera.matrix_world = blender_pose(cam_from_world)
        return
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 1.0
    scene.cycles.motion_blur_position = "CENTER"
    for frame, part in ((MID_FRAME - 1, -1.0), (MID_FRAME, 0.0), (MID_FRAME + 1, 1.0)):
        step = Matrix.Translation(Vector((part * shift).tolist()))
        angle = float(np.linalg.norm(turn))
        if angle > 0:
            step = step @ Matrix.Rotation(part * angle, 4, Vector((turn / angle).tolist()))
        moved = np.array(step) @ cam_from_world
        location, rotation, _ = blender_pose(moved).decompose()
        if part > -1.0 and rotation.dot(camera.rotation_quaternion) < 0:
            rotation.negate()  # the same turn, and the short way from the frame before
        camera.location, camera.rotation_quaternion = location, rotation
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_quaternion", frame=frame)
    for curve in camera.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    scene.frame_set(MID_FRAME)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Blender writes hundreds of lines a picture, not through Python; errors come through."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def render_missing(folder: Path, samples: int, threads: int) -> None:
    """Renders what is described and not there."""
    contents = [json.loads(path.read_text()) for path in sorted((folder / "descriptions").glob("*.json"))]
    missing = [content for content in contents if not (folder / content["raw"]).exists()]
    start = time.monotonic()
    for done, content in enumerate(missing, start=1):
        began = time.monotonic()
        with _quiet():
            render_to(build_scene(folder, content, samples, threads), folder / content["raw"])
        now = time.monotonic()
        left = (now - start) / done * (len(missing) - done)
        print(
            f"scene {content['scene_id']} picture {content['image_id']} rendered in {now - began:.1f} s; "
            f"{len(missing) - done} to go, about {left / 60:.0f} min",
            flush=True,
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=14, help="Cycles samples a pixel")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    render_missing(args.folder, args.samples, args.threads)


if __name__ == "__main__":
    main()
