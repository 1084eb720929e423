"""Materials of instances, the first light's part, and approximate supersampling."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from render_scenes import ball, bracket, intrinsics, pose, random_views, square, textured_box

from mrc_core.rendering import Lights, Materials, create_renderer

K = intrinsics(80.0, 31.5, 31.5)
SIZE = (64, 64)


def some_lights(count: int) -> Lights:
    rng = torch.Generator().manual_seed(2)
    return Lights(
        ambient=0.2 + 0.2 * torch.rand(count, 3, generator=rng),
        directions=torch.randn(count, 3, 3, generator=rng) - torch.tensor([0.0, 0, 1]),
        colors=0.4 * torch.rand(count, 3, 3, generator=rng),
        specular=torch.zeros(count),
        shininess=torch.ones(count),
    )


def scene(images: int = 6):
    """Three instances in each of several images."""
    poses, cameras = random_views(3 * images, SIZE, (0.4, 0.8), seed=3, spread=0.2)
    return torch.arange(images).repeat(3), torch.arange(3 * images) % 3, poses, cameras[:images]


@pytest.fixture(scope="module")
def meshes():
    return [ball(), bracket(), textured_box()]


@pytest.mark.parametrize("supersample", [1, 2])
def test_plain_materials_change_nothing(meshes, supersample):
    renderer = create_renderer("warp", meshes, supersample=supersample)
    image, mesh, poses, cameras = scene()
    lights = some_lights(len(cameras))
    without = renderer.render_scenes(image, mesh, poses, cameras, SIZE, lights)
    plain = renderer.render_scenes(image, mesh, poses, cameras, SIZE, lights, Materials.plain(len(mesh)))
    assert without.first_light is None
    assert torch.equal(without.rgb, plain.rgb)
    assert torch.equal(without.instance, plain.instance)


@pytest.mark.parametrize("supersample", [1, 2])
def test_without_its_part_the_first_light_is_off(meshes, supersample):
    renderer = create_renderer("warp", meshes, supersample=supersample)
    image, mesh, poses, cameras = scene()
    lights = some_lights(len(cameras))
    lights.colors[0] *= 5  # brighter than white: the part is of what the picture shows
    rng = torch.Generator().manual_seed(0)
    materials = replace(
        Materials.plain(len(mesh)),
        specular=torch.rand(len(mesh), generator=rng),
        shininess=5 + 20 * torch.rand(len(mesh), generator=rng),
    )
    lit = renderer.render_scenes(image, mesh, poses, cameras, SIZE, lights, materials)
    others = replace(lights, directions=lights.directions[:, 1:], colors=lights.colors[:, 1:])
    dark = renderer.render_scenes(image, mesh, poses, cameras, SIZE, others, materials)
    assert lit.first_light.min() >= 0
    assert lit.first_light.max() > 0.2
    assert (lit.rgb - lit.first_light - dark.rgb).abs().max() < 1e-5


def test_albedo_is_mixed_shifted_and_cut_off():
    renderer = create_renderer("warp", [square(vertex_colors=torch.tensor([[51, 102, 204]] * 4).numpy())])
    mix = torch.tensor([[[0.0, 1, 0], [0, 0, 0.5], [2, 0, 0]]])
    materials = replace(Materials.plain(1), mix=mix, shift=torch.tensor([[0.1, -0.5, 0.9]]))
    zero = torch.zeros(1, dtype=torch.int64)
    seen = renderer.render_scenes(zero, zero, pose((0, 0, 1)), K, SIZE, Lights.ambient_only(), materials)
    assert seen.rgb[0, :, 32, 32].tolist() == pytest.approx([0.5, 0.0, 1.0], abs=1e-5)


def test_each_instance_has_its_own_gloss():
    renderer = create_renderer("warp", [ball(0.05)])
    poses = torch.cat([pose((-0.1, 0, 0.5)), pose((0.1, 0, 0.5))])
    materials = replace(
        Materials.plain(2), specular=torch.tensor([0.0, 1.0]), shininess=torch.tensor([1.0, 20.0])
    )
    lights = replace(Lights.head_light(), ambient=torch.zeros(1, 3))
    index = torch.zeros(2, dtype=torch.int64)
    dull = renderer.render_scenes(index, index, poses, K, SIZE, lights, Materials.plain(2))
    shiny = renderer.render_scenes(index, index, poses, K, SIZE, lights, materials)
    gain = (shiny.rgb - dull.rgb)[0].amax(dim=0)
    assert gain[:, :32].max() < 1e-6
    assert gain[:, 32:].max() > 0.2


def test_materials_find_their_instances_when_a_batch_is_shared_by_threads(meshes):
    """Parts of a batch number their instances anew."""
    poses, cameras = random_views(48, (128, 128), (0.4, 0.8), seed=5, spread=0.1)
    image = torch.arange(24).repeat(2).flip(0)  # not in the order of the images
    mesh = torch.arange(48) % 3
    rng = torch.Generator().manual_seed(1)
    materials = Materials(
        torch.rand(48, 3, 3, generator=rng),
        0.2 * torch.rand(48, 3, generator=rng),
        torch.rand(48, generator=rng),
        torch.full((48,), 10.0),
    )
    renderer = create_renderer("warp", meshes, supersample=2)
    threads = torch.get_num_threads()
    pictures = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pictures.append(
                renderer.render_scenes(image, mesh, poses, cameras[:24], (128, 128), some_lights(24), materials)
            )
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(pictures[0].rgb, pictures[1].rgb)
    assert torch.equal(pictures[0].first_light, pictures[1].first_light)


def test_wrong_materials_are_refused(meshes):
    image, mesh, poses, cameras = scene()
    renderer = create_renderer("warp", meshes)
    with pytest.raises(ValueError, match="materials for 18 instances"):
        renderer.render_scenes(image, mesh, poses, cameras, SIZE, None, Materials.plain(4))
    with pytest.raises(ValueError, match="shift has shape"):
        replace(Materials.plain(3), shift=torch.zeros(3, 1))


def test_approximate_pictures_are_nearly_exact(meshes):
    exact = create_renderer("warp", meshes, supersample=2)
    rough = create_renderer("warp", meshes, supersample=2, approximate=True)
    image, mesh, poses, cameras = scene(12)
    lights, materials = some_lights(len(cameras)), Materials.plain(len(mesh))
    a = exact.render_scenes(image, mesh, poses, cameras, SIZE, lights, materials)
    b = rough.render_scenes(image, mesh, poses, cameras, SIZE, lights, materials)
    assert torch.equal(a.coverage, b.coverage)
    hit = a.coverage > 0
    assert (a.rgb - b.rgb).abs().mean(dim=1)[hit].mean() < 0.01
    # masks differ on the rim alone, and nothing else does by more than the rim
    differs = a.instance != b.instance
    assert differs.float().sum() < 0.03 * a.mask.sum()
    assert not (differs & (a.coverage == 0)).any()
    same = a.mask & b.mask & ~differs
    assert ((a.depth_m - b.depth_m).abs() / a.depth_m.clamp(min=1e-6))[same].quantile(0.98) < 0.01
    assert ((a.depth_m > 0) == a.mask).all()
    assert ((b.depth_m > 0) == b.mask).all()


def test_white_before_white_has_no_rim():
    """Where an object's edge is blended with the background, neither a dark nor a bright line is left."""
    white = [square(0.3, vertex_colors=torch.full((4, 3), 255).numpy())]
    renderer = create_renderer("warp", white, supersample=2, approximate=True)
    index = torch.zeros(1, dtype=torch.int64)
    seen = renderer.render_scenes(
        index, index, pose((0.013, 0.02, 0.6)), K, SIZE, Lights.ambient_only(), Materials.plain(1)
    )
    assert ((seen.coverage > 0) & (seen.coverage < 1)).any()
    assert (seen.rgb + (1 - seen.coverage[:, None]) - 1).abs().max() < 1e-6
