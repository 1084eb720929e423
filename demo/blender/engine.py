"""Cycles: its settings, and taking a picture."""

from __future__ import annotations

import os
from pathlib import Path

import bpy


def empty_scene(size: tuple[int, int], samples: int, threads: int, seed: int = 0) -> bpy.types.Scene:
    """An empty scene that Cycles renders on the CPU, denoised; `size` is (H, W) in pixels."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.seed = seed
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.max_bounces = 5
    scene.cycles.diffuse_bounces = 3
    scene.cycles.glossy_bounces = 2
    scene.cycles.caustics_reflective = False
    scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.render.use_persistent_data = True
    scene.render.threads_mode = "FIXED"
    scene.render.threads = threads
    scene.render.resolution_y, scene.render.resolution_x = size
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = 0.0
    return scene


def render_to(scene: bpy.types.Scene, path: Path) -> None:
    """Render to a file, in the scene's format; it appears only when it is complete."""
    unfinished = path.with_name("unfinished-" + path.name)
    scene.render.filepath = str(unfinished)
    bpy.ops.render.render(write_still=True)
    os.replace(unfinished, path)
