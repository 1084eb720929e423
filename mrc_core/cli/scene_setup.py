"""Puts a scene generator together: meshes, distractors, renderers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mrc_core.data.household import make_household
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.scenes import SceneGenerator
from mrc_core.geometry.mesh_simplification import simplified
from mrc_core.geometry.objects import ObjectModel
from mrc_core.rendering import create_renderer


def make_generator(
    objects: Sequence[ObjectModel],
    distractors: int,
    crop_size: int,
    config: SceneConfig,
    seed: int,
    device: torch.device | str,
) -> SceneGenerator:
    """A generator of scenes of these objects, among themselves and so many distractors; see `SceneGenerator`.

    What is visible and what casts shadows is measured on simplified meshes: no one sees them, and scans have ten times
    the triangles that it takes.
    """
    diameters = torch.tensor([item.diameter for item in objects])
    things = make_household(distractors, float(diameters.mean()), seed)
    meshes = [*(item.centred_mesh for item in objects), *things]
    probe = create_renderer("warp", [simplified(mesh) for mesh in meshes], device=device)
    camera = create_renderer("warp", meshes, device=device, supersample=2, approximate=True)
    return SceneGenerator(probe, camera, diameters, meshes, crop_size, config, seed)
