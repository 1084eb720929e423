"""The Warp renderer's colours: textures, vertex colours, lights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from render_scenes import ball, intrinsics, pose, quadrant_texture, square
from scipy.spatial.transform import Rotation

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering import Lights, create_renderer

ZERO = torch.zeros(1, dtype=torch.int64)
K = intrinsics(64.0, 31.5, 31.5)
SIZE = (64, 64)


def colour(rgb: torch.Tensor, row: int, column: int) -> list[int]:
    return (rgb[0, :, row, column] * 255).round().int().tolist()


@pytest.mark.parametrize("side", [64, 512, 4096], ids=["one texel a pixel", "mipmaps", "made smaller"])
def test_texture_is_upright(side: int) -> None:
    renderer = create_renderer("warp", [square(texture=quadrant_texture(side))], max_texture_px=1024)
    rgb = renderer.render(ZERO, pose((0, 0, 1)), K, SIZE, Lights.ambient_only()).rgb
    assert colour(rgb, 16, 16) == [255, 0, 0]
    assert colour(rgb, 16, 48) == [0, 255, 0]
    assert colour(rgb, 48, 16) == [0, 0, 255]
    assert colour(rgb, 48, 48) == [255, 255, 255]


def test_texture_at_one_texel_a_pixel_is_copied() -> None:
    texture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    renderer = create_renderer("warp", [square(texture=texture)])
    rgb = (
        renderer.render(ZERO, pose((0, 0, 1)), K, SIZE, Lights.ambient_only()).rgb[0].permute(1, 2, 0).numpy()
    )
    np.testing.assert_allclose(rgb[1:-1, 1:-1] * 255, texture[1:-1, 1:-1], atol=1.0)


def test_a_fine_texture_far_away_is_its_mean() -> None:
    """Without minification a checkerboard of single texels would be a random black and white pattern."""
    checker = np.zeros((512, 512, 3), np.uint8)
    checker[(np.indices((512, 512)).sum(axis=0) % 2) == 0] = 255
    renderer = create_renderer("warp", [square(texture=checker)])
    turned = Rotation.from_euler("xy", [0.6, 0.4])
    result = renderer.render(ZERO, pose((0, 0, 1.5), turned), K, SIZE, Lights.ambient_only())
    seen = result.rgb[0, :, result.mask[0]]
    assert (seen - 127.5 / 255).abs().max() < 0.02


def test_unused_texels_do_not_darken_the_seams() -> None:
    """A white chart in a black texture stays white to its border, from near and from afar."""
    texture = np.zeros((1024, 1024, 3), np.uint8)
    texture[256:512, 256:512] = 255
    base = square()
    uv = 0.25 + 0.25 * base.uv + np.array([0, 0.25])
    renderer = create_renderer(
        "warp", [Mesh(base.vertices, base.faces, uv=uv, texture=texture)], max_texture_px=512
    )
    for z in (0.6, 1.0, 3.0, 6.0):
        result = renderer.render(ZERO, pose((0, 0, z)), K, SIZE, Lights.ambient_only())
        assert result.rgb[0, :, result.mask[0]].min() > 0.99


def test_texture_is_interpolated_with_perspective() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (4, 1, 3))
    renderer = create_renderer("warp", [square(texture=ramp)])
    turned = Rotation.from_euler("y", 1.0)
    result = renderer.render(ZERO, pose((0, 0, 1.0), turned), K, SIZE, Lights.ambient_only())
    row = 31
    columns = np.nonzero(result.mask[0, row].numpy())[0][2:-2]
    ray = np.stack(
        [(columns - 31.5) / 64, np.full(len(columns), (row - 31.5) / 64), np.ones(len(columns))], axis=1
    )
    points = ray * result.depth_m[0, row, columns].numpy()[:, None] - [0, 0, 1.0]
    x = turned.inv().apply(points)[:, 0]
    np.testing.assert_allclose(
        result.rgb[0, 0, row, columns].numpy(), ((x + 0.5) * 256 - 0.5) / 255, atol=0.01
    )


def test_texture_repeats_beyond_its_border() -> None:
    base = square(texture=quadrant_texture())
    repeated = Mesh(base.vertices, base.faces, normals=base.normals, uv=base.uv * 2 - 3, texture=base.texture)
    renderer = create_renderer("warp", [repeated])
    rgb = renderer.render(ZERO, pose((0, 0, 1)), K, SIZE, Lights.ambient_only()).rgb
    for row in (0, 32):
        for column in (0, 32):
            assert colour(rgb, row + 8, column + 8) == [255, 0, 0]
            assert colour(rgb, row + 24, column + 24) == [255, 255, 255]


def test_vertex_colours_and_plain_grey() -> None:
    # Vertices: lower left, lower right, upper left, upper right.
    colors = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    renderer = create_renderer("warp", [square(vertex_colors=colors), square()])
    result = renderer.render(
        torch.tensor([0, 1]), pose((0, 0, 1)).repeat(2, 1, 1), K.repeat(2, 1, 1), SIZE, Lights.ambient_only()
    )
    assert colour(result.rgb[:1], 62, 1)[0] > 240
    assert colour(result.rgb[:1], 1, 1)[2] > 240
    assert (result.rgb[1] - 178 / 255).abs().max() < 1e-6


def test_lambert_and_highlight_follow_the_formula() -> None:
    turned = Rotation.from_euler("xy", [0.3, -0.4])
    normal = turned.apply([0, 0, -1])
    to_light = np.array([1.0, -2.0, -3.0])
    lights = Lights(
        ambient=torch.tensor([[0.1, 0.2, 0.3]]),
        directions=torch.tensor(to_light[None, None], dtype=torch.float32),
        colors=torch.tensor([[[0.5, 0.4, 0.3]]]),
        specular=torch.tensor([0.2]),
        shininess=torch.tensor([5.0]),
    )
    renderer = create_renderer("warp", [square(vertex_colors=np.full((4, 3), 204, np.uint8))])
    rgb = renderer.render(ZERO, pose((0, 0, 1), turned), K, SIZE, lights).rgb[0]
    for row, column in ((31, 31), (20, 40), (45, 25)):
        ray = np.array([(column - 31.5) / 64, (row - 31.5) / 64, 1])
        d, v = to_light / np.linalg.norm(to_light), -ray / np.linalg.norm(ray)
        h = (d + v) / np.linalg.norm(d + v)
        color = np.array([0.5, 0.4, 0.3])
        wanted = 0.8 * (np.array([0.1, 0.2, 0.3]) + color * (normal @ d)) + 0.2 * color * (normal @ h) ** 5
        np.testing.assert_allclose(rgb[:, row, column].numpy(), wanted, atol=1e-4)


def test_both_sides_are_lit_alike() -> None:
    renderer = create_renderer("warp", [square()])
    front = renderer.render(ZERO, pose((0, 0, 1)), K, SIZE)
    back = renderer.render(ZERO, pose((0, 0, 1), Rotation.from_euler("y", np.pi)), K, SIZE)
    assert front.mask[0, 10, 10]
    assert back.mask[0, 10, 10]
    torch.testing.assert_close(front.rgb[0, :, 10:50, 10:50], back.rgb[0, :, 10:50, 10:50], atol=1e-5, rtol=0)


def test_lights_of_each_image() -> None:
    renderer = create_renderer("warp", [ball()])
    lights = Lights.ambient_only(2)
    lights.ambient[1] = 0.25
    poses, cameras = pose((0, 0, 0.5)).repeat(2, 1, 1), K.repeat(2, 1, 1)
    result = renderer.render(torch.zeros(2, dtype=torch.int64), poses, cameras, SIZE, lights)
    torch.testing.assert_close(result.rgb[1], result.rgb[0] * 0.25)
    with pytest.raises(ValueError, match="lights are for 2 images, needed is 1 or 3"):
        renderer.render_scenes(ZERO, ZERO, poses[:1], K.repeat(3, 1, 1), SIZE, lights)
    with pytest.raises(ValueError, match="specular has shape"):
        Lights(torch.ones(1, 3), torch.ones(1, 1, 3), torch.ones(1, 1, 3), torch.ones(2), torch.ones(1))


def test_a_light_from_the_left_lights_the_left() -> None:
    head = Lights.head_light()
    side = Lights(
        head.ambient, torch.tensor([[[-1.0, 0.0, 0.0]]]), head.colors, head.specular, head.shininess
    )
    grey = Mesh(ball().vertices, ball().faces)
    rgb = create_renderer("warp", [grey]).render(ZERO, pose((0, 0, 0.5)), K, SIZE, side).rgb[0, 0]
    assert rgb[31, 22] > rgb[31, 41] + 0.1
