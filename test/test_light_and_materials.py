"""Random lights and surfaces, the things that stand around, and simplified meshes."""

import numpy as np
import pytest
import torch
from conftest import wedge_mesh
from render_scenes import ball, random_views

from mrc_core.data.household import make_household
from mrc_core.data.lighting import LOWEST, sample_lights, temperature
from mrc_core.data.materials import LUMA, sample_materials, scene_materials
from mrc_core.data.scene_config import SceneConfig
from mrc_core.geometry import Mesh, ObjectModel, SymmetrySet
from mrc_core.geometry.mesh_simplification import simplified
from mrc_core.rendering import create_renderer


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- lights ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lights():
    up = torch.nn.functional.normalize(torch.randn(3000, 3, generator=seeded(1)), dim=1)
    return up, sample_lights(up, SceneConfig(), seeded())


def test_there_are_one_to_four_lights(lights):
    _, found = lights
    count = (found.colors.sum(dim=-1) > 0).sum(dim=1)
    share = torch.bincount(count, minlength=5) / len(count)
    assert share[0] == 0
    assert share[1:].min() > 0.2
    assert (found.colors >= 0).all()
    one = sample_lights(torch.tensor([[0.0, -1, 0]]).expand(50, 3), SceneConfig(max_lights=1), seeded())
    assert one.colors.shape == (50, 1, 3)


def test_the_first_light_comes_from_above_and_is_mostly_the_strongest(lights):
    up, found = lights
    assert (found.directions.norm(dim=-1) - 1).abs().max() < 1e-5
    height = (found.directions[:, 0] * up).sum(dim=1)
    assert height.min() > 0.9 * LOWEST
    assert height.std() > 0.15  # from many sides
    strength = found.colors.sum(dim=-1)
    assert (strength[:, 0] >= strength.amax(dim=1) - 1e-6).float().mean() > 0.7


def test_scenes_are_about_equally_bright_and_differently_hard(lights):
    _, found = lights
    luma = torch.tensor(LUMA)
    level = (found.ambient + 0.5 * found.colors.sum(dim=1)) @ luma
    assert level.mean() == pytest.approx(0.9, abs=0.1)
    assert level.std() / level.mean() < 0.25
    hardness = (found.colors.sum(dim=1) @ luma) / (found.ambient @ luma)
    assert hardness.quantile(0.95) > 5 * hardness.quantile(0.05)


def test_warm_light_is_red_and_cold_light_blue():
    warm, white, cold = temperature(torch.tensor([1.0, 0, -1])).tolist()
    assert warm[0] > 1.1 > 0.9 > warm[2]
    assert white == [1, 1, 1]
    assert cold[2] > 1.1 > 0.9 > cold[0]
    assert np.dot(warm, LUMA) == pytest.approx(1, abs=0.05)


# ---- materials -------------------------------------------------------------------------------------------------------
def recoloured(colour, strength, repainted, count=2000):
    materials = sample_materials(
        torch.full((count,), float(strength)), torch.full((count,), repainted), seeded()
    )
    return (materials.mix @ torch.tensor(colour) + materials.shift).clamp(0, 1), materials


def test_strength_zero_changes_no_colour():
    found, _ = recoloured([0.7, 0.3, 0.1], 0, False)
    assert (found - torch.tensor([0.7, 0.3, 0.1])).abs().max() < 1e-5


def test_ordinary_changes_keep_a_colour_recognisable():
    red, _ = recoloured([0.7, 0.2, 0.15], 1, False)
    assert (red[:, 0] > red[:, 1:].amax(dim=1) + 0.1).float().mean() > 0.98
    assert red.std(dim=0).min() > 0.02
    assert red.mean(dim=0).tolist() == pytest.approx([0.7, 0.2, 0.15], abs=0.06)
    wild, _ = recoloured([0.7, 0.2, 0.15], 2.5, False)
    assert wild.std(dim=0).mean() > 1.8 * red.std(dim=0).mean()


def test_repainting_gives_any_colour_also_to_grey():
    for colour in ([0.7, 0.2, 0.15], [0.5, 0.5, 0.5]):
        found, _ = recoloured(colour, 1, True)
        first = torch.bincount(found.argmax(dim=1), minlength=3) / len(found)
        assert first.min() > 0.15
        assert (found.amax(dim=1) - found.amin(dim=1)).median() > 0.15


def test_grey_stays_grey_but_for_the_white_balance():
    found, materials = recoloured([0.5, 0.5, 0.5], 1, False)
    assert (found.amax(dim=1) - found.amin(dim=1)).median() < 0.06
    assert (materials.specular == 0).float().mean() == pytest.approx(0.29, abs=0.05)
    assert materials.specular.max() <= 0.5
    assert materials.shininess.min() >= 4
    assert materials.shininess.max() <= 100


def test_targets_come_first_and_neighbours_differ_more():
    known = torch.arange(4000) % 2 == 0
    config = SceneConfig(repaint_fraction=0.0)
    found = scene_materials(4000, known, config, seeded())
    off = (found.mix - torch.eye(3)).abs().mean(dim=(1, 2))
    target, known_off, other_off = off[:4000].median(), off[4000:][known].median(), off[4000:][~known].median()
    assert target < known_off < other_off
    plain = scene_materials(10, known[:6], SceneConfig(target_tint=0.0, repaint_fraction=0.0), seeded())
    assert (plain.mix[:10] - torch.eye(3)).abs().max() < 1e-5


# ---- things ----------------------------------------------------------------------------------------------------------
def test_things_are_of_all_kinds_and_of_the_size_that_is_asked_for():
    things = make_household(24, 0.2, seed=3)
    radii = [np.linalg.norm(mesh.vertices, axis=1).max() for mesh in things]
    assert 0.3 * 0.1 < min(radii) < 0.5 * 0.1
    assert 0.9 * 0.1 < max(radii) <= 1.1 * 0.1 + 1e-6
    assert len({len(mesh.faces) for mesh in things}) > 6
    assert max(len(mesh.faces) for mesh in things) < 1000  # cheap: no one looks at them
    assert any(mesh.texture is not None for mesh in things)
    assert any(mesh.texture is None for mesh in things)
    assert len({mesh.name for mesh in things}) == 24
    assert make_household(0, 0.2) == []


def test_things_depend_on_the_seed_alone():
    first, again, other = (make_household(8, 0.2, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(first, again))
    assert not all(np.array_equal(a.vertices, b.vertices) for a, b in zip(first, other))


def test_normals_of_things_point_outwards():
    """Solids are closed and convex enough that most normals point away from the middle."""
    for mesh in make_household(6, 0.2, seed=5)[:2]:  # a box and a can
        assert ((mesh.vertices * mesh.normals).sum(axis=1) > 0).mean() > 0.9


# ---- simplified ------------------------------------------------------------------------------------------------------
def test_a_simplified_mesh_has_fewer_faces_and_the_same_silhouette():
    fine = ball(0.1, subdivisions=5)
    coarse = simplified(fine)
    assert len(coarse.faces) < 0.4 * len(fine.faces)
    assert coarse.diameter == pytest.approx(fine.diameter, rel=0.01)
    assert coarse.texture is None
    assert coarse.vertex_colors is None
    poses, K = random_views(12, (64, 64), (0.6, 1.0), seed=0)
    index = torch.zeros(12, dtype=torch.int64)
    a, b = (create_renderer("warp", [mesh]).render(index, poses, K, (64, 64)).mask for mesh in (fine, coarse))
    assert (a & b).sum() / (a | b).sum() > 0.97


def test_a_coarse_mesh_keeps_its_shape_without_its_colours():
    mesh = ObjectModel("wedge", wedge_mesh(), SymmetrySet()).centred_mesh
    plain = simplified(mesh)
    assert np.array_equal(plain.vertices, mesh.vertices)
    assert np.array_equal(plain.faces, mesh.faces)
    assert plain.vertex_colors is None


def test_both_sides_of_a_thin_sheet_become_one():
    """A plate thinner than a cell: its two sides coincide, and one of them is drawn."""
    n = 60
    x, y = np.meshgrid(np.linspace(0, 0.2, n), np.linspace(0, 0.2, n))
    sheet = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).reshape(-1)
    faces = np.concatenate([np.stack([a, a + 1, a + n], 1), np.stack([a + 1, a + n + 1, a + n], 1)])
    both = Mesh(np.concatenate([sheet, sheet + [0, 0, 1e-5]]), np.concatenate([faces, faces[:, ::-1] + n * n]))
    coarse = simplified(both)
    assert len(coarse.faces) < 0.25 * len(both.faces)
    used = coarse.vertices[np.unique(coarse.faces)]
    assert np.ptp(used, axis=0)[:2] == pytest.approx([0.2, 0.2], abs=0.2 / 20)
