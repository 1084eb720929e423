"""The reference's grey look: its Phong formula, evaluated on a sphere without any renderer."""

from __future__ import annotations

import numpy as np
import torch
import trimesh

from mrc_core.geometry import Mesh, make_transform
from mrc_core.inference.render_look import GreyRenderer, painted_grey
from mrc_core.rendering import create_renderer

RADIUS, CENTRE, SIZE = 0.08, np.array([0.05, -0.03, 0.5]), 96
K = np.array([[150.0, 0, 40], [0, 140, 52], [0, 0, 1]])


def phong(rays: np.ndarray) -> np.ndarray:
    """Grey values along rays (N, 3), NaN beside the sphere.

    Grey 0.6 of the surface and of the material; light of 0.8 ambient, 0.5 diffuse and 0.1 specular from the direction
    of the camera as the sphere's centre sees it; exponent 10 on the mirrored direction.
    """
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    along = rays @ CENTRE
    inside = along**2 - CENTRE @ CENTRE + RADIUS**2
    points = rays * (along - np.sqrt(np.where(inside >= 0, inside, np.nan)))[:, None]
    normals = (points - CENTRE) / RADIUS
    light = -CENTRE / np.linalg.norm(CENTRE)
    cosine = normals @ light
    mirrored = 2 * cosine[:, None] * normals - light
    highlight = np.where(cosine > 0, np.maximum((mirrored * -rays).sum(axis=1), 0) ** 10, 0)
    return 0.6 * (0.8 + 0.6 * 0.5 * np.maximum(cosine, 0)) + 0.6 * 0.1 * highlight


def test_a_sphere_has_the_references_grey_at_every_pixel():
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    red = np.tile(np.uint8([255, 0, 0]), (len(ball.vertices), 1))
    mesh = Mesh(
        np.float32(ball.vertices), np.int32(ball.faces), np.float32(ball.vertex_normals), None, None, red
    )
    renderer = GreyRenderer(create_renderer("warp", [painted_grey(mesh)] * 2))
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turned = turned * torch.linalg.det(turned)
    poses = torch.stack(
        [
            make_transform(turned, torch.from_numpy(CENTRE).float()),
            make_transform(torch.eye(3), torch.tensor([-0.1, 0.1, 0.6])),  # each has a light of its own
        ]
    )
    matrices = torch.from_numpy(K).float().expand(2, 3, 3).contiguous()
    seen = renderer.render(torch.tensor([0, 1]), poses, matrices, (SIZE, SIZE))
    v, u = np.mgrid[:SIZE, :SIZE]
    rays = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3) @ np.linalg.inv(K).T
    expected = phong(rays).reshape(SIZE, SIZE)
    both = seen.mask[0].numpy() & np.isfinite(expected)
    assert both.sum() > 1000
    assert (seen.mask[0].numpy() ^ np.isfinite(expected)).sum() < 30
    got = seen.rgb[0].numpy()
    assert np.abs(got - expected)[:, both].max() < 1 / 255
    assert np.ptp(expected[both]) > 0.15
    assert (got[:, ~seen.mask[0].numpy()] == 0).all()
