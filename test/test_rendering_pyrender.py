"""Warp and pyrender, which share no code, draw the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from render_scenes import ball, bracket, intrinsics, pose, random_views, square, textured_box
from scipy.spatial.transform import Rotation

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering import Lights, Materials, Renderer, Rendering, create_renderer

SIZE = (120, 160)
SCANS = os.environ.get("MRC_YCB_DIR", "")  # the YCB objects, a folder each with textured.obj


@pytest.fixture(scope="module")
def meshes() -> list[Mesh]:
    return [ball(), bracket(), textured_box()]


def reference(meshes: list[Mesh], **options: int) -> Renderer:
    try:
        return create_renderer("pyrender", meshes, **options)
    except RuntimeError as error:
        if os.environ.get("MRC_REQUIRE_EGL") == "1":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def pair(meshes: list[Mesh]) -> tuple[Renderer, Renderer]:
    return create_renderer("warp", meshes), reference(meshes)


def assert_agree(ours: Rendering, theirs: Rendering, least_pixels: int) -> None:
    """Mask IoU at least 0.98 each and 0.99 on average; median depth difference under 0.2 mm, mask eroded by a pixel."""
    assert (ours.mask.sum((1, 2)) > least_pixels).all()
    iou = (ours.mask & theirs.mask).sum((1, 2)) / (ours.mask | theirs.mask).sum((1, 2))
    assert iou.min() >= 0.98, iou
    assert iou.mean() >= 0.99, iou
    eroded = -torch.nn.functional.max_pool2d(-(ours.mask & theirs.mask).float()[:, None], 3, 1, 1)[:, 0] > 0
    for i in range(len(iou)):
        difference = (ours.depth_m[i] - theirs.depth_m[i]).abs()[eroded[i]]
        assert difference.median() < 0.0002


@pytest.mark.parametrize(
    ("distance", "spread"),
    [((0.3, 0.8), 0.0), ((0.25, 0.5), 0.6), ((0.03, 0.12), 0.3)],
    ids=["whole", "cut by the border", "cut by the near plane"],
)
def test_geometry_agrees(
    pair: tuple[Renderer, Renderer], distance: tuple[float, float], spread: float
) -> None:
    poses, K = random_views(12, SIZE, distance, seed=21, spread=spread)
    index = torch.arange(12) % 3
    ours, theirs = (renderer.render(index, poses, K, SIZE) for renderer in pair)
    assert_agree(ours, theirs, least_pixels=60)
    if spread == 0.6:
        border = ours.mask[:, [0, -1]].any((1, 2)) | ours.mask[:, :, [0, -1]].any((1, 2))
        assert border.sum() >= 4  # or the name of the case would be wrong
    if distance[1] < 0.2:
        assert (poses[:, 2, 3] < 0.1).all() or ours.depth_m[ours.mask].min() < 0.01


def test_albedo_agrees(pair: tuple[Renderer, Renderer]) -> None:
    poses, K = random_views(9, SIZE, (0.3, 0.6), seed=4)
    index = torch.arange(9) % 3
    ours, theirs = (renderer.render(index, poses, K, SIZE, Lights.ambient_only()) for renderer in pair)
    both = -torch.nn.functional.max_pool2d(-(ours.mask & theirs.mask).float()[:, None], 3, 1, 1)[:, 0] > 0
    for i in range(9):
        difference = (ours.rgb[i] - theirs.rgb[i]).abs()[:, both[i]]
        assert difference.mean() < 0.03, (i, difference.mean())


def test_each_side_of_the_box_and_its_texture_are_seen_alike(pair: tuple[Renderer, Renderer]) -> None:
    sides = Rotation.from_euler(
        "xy", [[0, 0], [np.pi, 0], [np.pi / 2, 0], [-np.pi / 2, 0], [0, np.pi / 2], [0, -1.5]]
    )
    tilt = Rotation.from_euler("xyz", [0.2, 0.3, 0.4])
    poses = torch.cat([pose((0, 0, 0.4), tilt * side) for side in sides])
    K = intrinsics(300.0, 79.5, 59.5).repeat(6, 1, 1)
    index = torch.full((6,), 2)
    ours, theirs = (renderer.render(index, poses, K, SIZE, Lights.ambient_only()) for renderer in pair)
    both = ours.mask & theirs.mask
    for i in range(6):
        same = (ours.rgb[i] - theirs.rgb[i]).abs().mean(0)[both[i]].mean()
        other = (ours.rgb[i] - theirs.rgb[(i + 1) % 6]).abs().mean(0)[both[i] & both[(i + 1) % 6]].mean()
        assert same < 0.03
        assert other > 4 * same


def test_the_head_light_shades_alike(pair: tuple[Renderer, Renderer]) -> None:
    K = intrinsics(300.0, 79.5, 59.5)
    ours, theirs = (renderer.render(torch.tensor([0]), pose((0, 0, 0.6)), K, SIZE) for renderer in pair)
    brightness = [image.rgb[0].mean(0)[ours.mask[0] & theirs.mask[0]] for image in (ours, theirs)]
    assert np.corrcoef(*(b.numpy() for b in brightness))[0, 1] > 0.9


def test_scenes_agree(pair: tuple[Renderer, Renderer]) -> None:
    poses, _ = random_views(8, SIZE, (0.4, 0.7), seed=9)
    poses[:, :2, 3] *= 0.5
    K = intrinsics(250.0, 79.5, 59.5).repeat(2, 1, 1)
    image, index = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]), torch.tensor([0, 1, 2, 2, 1, 1, 2, 0])
    ours, theirs = (renderer.render_scenes(image, index, poses, K, SIZE) for renderer in pair)
    assert len(ours.instance.unique()) >= 7
    assert (ours.instance == theirs.instance).float().mean() > 0.995
    assert_agree(ours, theirs, least_pixels=500)


def test_supersampling_agrees(meshes: list[Mesh]) -> None:
    poses, K = random_views(3, SIZE, (0.4, 0.6), seed=12)
    theirs = reference(meshes, supersample=2).render(torch.arange(3), poses, K, SIZE, Lights.ambient_only())
    ours = create_renderer("warp", meshes, supersample=2).render(
        torch.arange(3), poses, K, SIZE, Lights.ambient_only()
    )
    assert (ours.coverage - theirs.coverage).abs().mean() < 0.002
    assert (ours.rgb - theirs.rgb).abs().mean() < 0.01


def test_skewed_intrinsics_are_refused(pair: tuple[Renderer, Renderer]) -> None:
    K = intrinsics(300.0, 79.5, 59.5)
    K[0, 0, 1] = 1.0
    with pytest.raises(ValueError, match="skewed"):
        pair[1].render(torch.tensor([0]), pose((0, 0, 0.6)), K, SIZE)


def test_egl_without_a_display_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where EGL is missing neither module can be imported, so that stand-ins take their places.
    pyrender, opengl = MagicMock(), ModuleType("OpenGL")
    pyrender.OffscreenRenderer.side_effect = RuntimeError("no display")
    opengl.GL = ModuleType("OpenGL.GL")
    monkeypatch.setitem(sys.modules, "pyrender", pyrender)
    monkeypatch.setitem(sys.modules, "OpenGL", opengl)
    monkeypatch.setattr("mrc_core.rendering.pyrender_renderer._offscreen", None)
    with pytest.raises(RuntimeError, match="no display.*apt install libegl1 libegl-mesa0 libgl1-mesa-dri"):
        create_renderer("pyrender", [square()])


def test_what_only_warp_has_is_refused(pair: tuple[Renderer, Renderer]) -> None:
    index, poses = torch.zeros(1, dtype=torch.int64), pose((0, 0, 1))
    with pytest.raises(ValueError, match="no materials of instances: use the warp backend"):
        pair[1].render_scenes(index, index, poses, intrinsics(80, 31, 31), (64, 64), None, Materials.plain(1))
    with pytest.raises(ValueError, match="use the warp backend for approximate"):
        create_renderer("pyrender", [square()], approximate=True)


@pytest.mark.parametrize("error", [AttributeError, ImportError, OSError])
def test_missing_egl_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception]
) -> None:
    (tmp_path / "pyrender.py").write_text(f"raise {error.__name__}('no eglQueryString')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "pyrender", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="no eglQueryString.*apt install libegl1"):
        create_renderer("pyrender", [square()])


@pytest.mark.skipif(not SCANS, reason="no scanned objects (set MRC_YCB_DIR)")
def test_scanned_objects_agree() -> None:
    names = ["006_mustard_bottle"]
    scans = [Mesh.load(Path(SCANS) / name / "textured.obj") for name in names]
    assert all(0.15 < mesh.diameter < 0.3 and mesh.texture is not None for mesh in scans)
    poses, K = random_views(6, SIZE, (0.35, 0.7), seed=30, spread=0.2)
    index = torch.zeros(6, dtype=torch.int64)
    ours, theirs = (
        renderer.render(index, poses, K, SIZE, Lights.ambient_only())
        for renderer in (create_renderer("warp", scans), reference(scans))
    )
    assert_agree(ours, theirs, least_pixels=300)
    assert (ours.rgb - theirs.rgb).abs().mean(1)[ours.mask & theirs.mask].mean() < 0.05
