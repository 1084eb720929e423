"""The Warp renderer's geometry: where, how far, nothing missing."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from render_scenes import (
    ball,
    bracket,
    intrinsics,
    pose,
    quadrant_texture,
    random_views,
    ray_cast,
    square,
    textured_box,
)
from scipy.spatial.transform import Rotation

from mrc_core.geometry.mesh import Mesh
from mrc_core.rendering import Rendering, create_renderer, warp_renderer

ZERO = torch.zeros(1, dtype=torch.int64)
FIELDS = ("rgb", "depth_m", "mask", "instance", "coverage")


@pytest.fixture(scope="module")
def meshes() -> list[Mesh]:
    return [ball(), bracket(), textured_box()]


@pytest.fixture(scope="module")
def renderer(meshes: list[Mesh]) -> warp_renderer.WarpRenderer:
    return create_renderer("warp", meshes)


def assert_same(a: Rendering, b: Rendering) -> None:
    for key in FIELDS:
        assert torch.equal(getattr(a, key), getattr(b, key)), key


@pytest.mark.parametrize(
    "distance", [(0.25, 0.6), (0.02, 0.09)], ids=["before the camera", "through the near plane"]
)
def test_equals_ray_casting(meshes: list[Mesh], distance: tuple[float, float]) -> None:
    size = (40, 48)
    few = [ball(subdivisions=1), meshes[2], bracket()]
    renderer = create_renderer("warp", few)
    poses, K = random_views(6, size, distance, seed=5, spread=0.4)
    index = torch.arange(6) % 3
    result = renderer.render(index, poses, K, size)
    for i in range(6):
        slow = ray_cast(few[int(index[i])], poses[i], K[i], size)
        fast = result.depth_m[i].numpy()
        assert (slow > 0).sum() > 30
        assert ((slow > 0) != result.mask[i].numpy()).mean() < 0.003  # corners are snapped to 1/256 pixel
        both = (slow > 0) & (fast > 0)
        assert np.quantile(np.abs(slow - fast)[both], 0.99) < 2e-6
        assert np.array_equal(fast > 0, result.mask[i].numpy())


def test_known_point_lands_where_it_must() -> None:
    rng = np.random.default_rng(0)
    # Its centroid is the origin.
    small = Mesh(np.array([[-0.01, -0.01, 0], [0.02, 0, 0], [-0.01, 0.01, 0]]), np.array([[0, 1, 2]]))
    renderer = create_renderer("warp", [small], supersample=8)
    K, size = intrinsics(500.0, 70.3, 55.8, 520.0), (120, 140)
    for _ in range(5):
        x, y, z = rng.uniform(-0.04, 0.04), rng.uniform(-0.04, 0.04), rng.uniform(0.5, 0.8)
        weight = renderer.render(ZERO, pose((x, y, z)), K, size).coverage[0].double()
        u = (weight.sum(0) * torch.arange(size[1])).sum() / weight.sum()
        v = (weight.sum(1) * torch.arange(size[0])).sum() / weight.sum()
        assert abs(u - (500.0 * x / z + 70.3)) < 0.05
        assert abs(v - (520.0 * y / z + 55.8)) < 0.05


def test_mask_of_a_square_on_pixel_centres_is_exact() -> None:
    """From u = 10 to u = 20 there are ten pixels: one border belongs to it, the other does not."""
    renderer = create_renderer("warp", [square(0.1)])
    mask = renderer.render(ZERO, pose((0, 0, 1)), intrinsics(100.0, 15.0, 15.0), (32, 32)).mask[0]
    wanted = torch.zeros(32, 32, dtype=torch.bool)
    wanted[10:20, 10:20] = True
    assert torch.equal(mask, wanted)


def test_depth_of_a_slanted_plane_is_analytic() -> None:
    turned = Rotation.from_euler("xyz", [0.7, -0.5, 0.3])
    renderer = create_renderer("warp", [square(0.5, cells=7)])
    K, size = intrinsics(300.0, 50.2, 61.7), (120, 110)
    result = renderer.render(ZERO, pose((0.01, 0.02, 0.6), turned), K, size)
    normal = turned.apply([0, 0, 1])
    rows, columns = np.mgrid[: size[0], : size[1]]
    ray = np.stack([(columns - 50.2) / 300, (rows - 61.7) / 300, np.ones(size)], axis=-1)
    depth = (normal @ [0.01, 0.02, 0.6]) / (ray @ normal)
    mask = result.mask[0].numpy()
    assert mask.sum() > 2000
    np.testing.assert_allclose(result.depth_m[0].numpy()[mask], depth[mask], atol=2e-6)


@pytest.mark.parametrize("supersample", [1, 3])
def test_no_holes_along_shared_edges(supersample: int) -> None:
    whole, split = square(0.4), square(0.4, cells=60)
    rng = np.random.default_rng(0)
    jitter = rng.uniform(-0.002, 0.002, split.vertices.shape) * [1, 1, 0]
    inner = np.abs(split.vertices[:, :2]).max(axis=1) < 0.199
    moved = Mesh(split.vertices + jitter * inner[:, None], split.faces)
    renderer = create_renderer("warp", [whole, moved], supersample=supersample)
    turns = Rotation.from_euler("zxy", [[0.3, 0.2, 0.1], [0.8, -0.4, 0.3], [np.pi / 4, 0, 0]])
    poses = torch.cat([pose((0.003, -0.002, 0.5), turn) for turn in turns])
    K = intrinsics(100.0, 64.0, 64.0).repeat(3, 1, 1)
    one = renderer.render(torch.zeros(3, dtype=torch.int64), poses, K, (128, 128))
    many = renderer.render(torch.ones(3, dtype=torch.int64), poses, K, (128, 128))
    assert one.mask.sum() > 3 * 4000
    # The outline's own vertices are snapped too: it may differ by a pixel of the border, never inside.
    for a, b in zip(one.mask.float(), many.mask.float()):
        eroded = -torch.nn.functional.max_pool2d(-a[None], 3, 1, 1)[0]
        assert (b >= eroded).all()
        assert (a - b).abs().sum() <= 4
    full = -torch.nn.functional.max_pool2d(-one.coverage[:, None], 3, 1, 1)[:, 0] == 1
    assert (many.coverage[full] == 1).all()


def test_ground_plane_is_clipped_at_the_near_plane() -> None:
    """Two triangles from behind the camera to 20 m before it: everything below the horizon is ground."""
    ground = Mesh(
        np.array([[-20, 0, -20], [20, 0, -20], [20, 0, 20], [-20, 0, 20]], float),
        np.array([[0, 1, 2], [0, 2, 3]]),
    )
    renderer = create_renderer("warp", [ground])
    K, size, height = intrinsics(100.0, 63.5, 20.25), (96, 128), 0.3
    result = renderer.render(ZERO, pose((0, height, 0)), K, size)
    rows = torch.arange(size[0])
    depth = height * 100.0 / (rows - 20.25)
    seen = (depth > 0) & (depth < 20)
    assert torch.equal(result.mask[0], seen[:, None].expand(*size))
    wanted = torch.where(seen, depth, torch.zeros(()))[:, None].expand(*size)
    torch.testing.assert_close(result.depth_m[0], wanted, atol=1e-4, rtol=1e-5)
    # A triangle wholly before the near plane is not drawn: at 1 mm above the eye, straight ahead, it would be.
    behind = renderer.render(ZERO, pose((0, height, -25)), K, size)
    assert not behind.mask.any()
    assert (behind.rgb == 0).all()
    assert (behind.instance == -1).all()


def test_near_plane_is_at_one_millimetre() -> None:
    renderer = create_renderer("warp", [square(1.0)])
    K = intrinsics(50.0, 8.0, 8.0)
    for z, seen in ((0.0009, False), (0.0011, True), (-0.5, False)):
        assert renderer.render(ZERO, pose((0, 0, z)), K, (16, 16)).mask.all() == seen


def test_a_batch_equals_its_members(renderer: warp_renderer.WarpRenderer) -> None:
    size = (64, 80)
    poses, K = random_views(9, size, (0.05, 0.6), seed=1, spread=0.3)
    index = torch.tensor([0, 1, 2, 2, 1, 0, 0, 2, 1])
    batch = renderer.render(index, poses, K, size)
    for i in range(9):
        one = renderer.render(index[i : i + 1], poses[i : i + 1], K[i : i + 1], size)
        for key in FIELDS:
            got, wanted = getattr(batch, key)[i], getattr(one, key)[0]
            if key == "instance":
                wanted = torch.where(wanted == 0, i, -1)
            assert torch.equal(got, wanted), key


def test_skewed_intrinsics_turn_the_image(renderer: warp_renderer.WarpRenderer) -> None:
    """Intrinsics times a rotation by 90 degrees give the same image, turned."""
    size = (65, 65)
    poses, _ = random_views(3, size, (0.3, 0.4), seed=2)
    K = intrinsics(150.0, 32.0, 32.0).repeat(3, 1, 1)
    poses[:, :2, 3] = 0.013
    quarter = torch.tensor([[0.0, -1.0, 64.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # (c, r) -> (64 - r, c)
    plain = renderer.render(torch.arange(3), poses, K, size)
    turned = renderer.render(torch.arange(3), poses, quarter @ K, size)
    agree = (torch.rot90(plain.mask, -1, (1, 2)) == turned.mask).float().mean()
    assert agree > 0.999
    both = torch.rot90(plain.mask, -1, (1, 2)) & turned.mask
    difference = (torch.rot90(plain.depth_m, -1, (1, 2)) - turned.depth_m).abs()[both]
    assert difference.quantile(0.99) < 1e-5


def test_supersampling_is_unbiased_and_leaves_the_geometry(
    meshes: list[Mesh], renderer: warp_renderer.WarpRenderer
) -> None:
    size = (48, 48)
    poses, K = random_views(3, size, (0.4, 0.6), seed=3)
    single = renderer.render(torch.arange(3), poses, K, size)
    for s in (2, 3):
        fine = create_renderer("warp", meshes, supersample=s).render(torch.arange(3), poses, K, size)
        for key in ("depth_m", "mask", "instance"):
            assert torch.equal(getattr(single, key), getattr(fine, key))
        assert torch.equal(single.coverage, single.mask.float())
        assert ((fine.coverage * s * s).round() / (s * s) - fine.coverage).abs().max() < 1e-6
        assert (fine.rgb[:, 0] > 0).logical_and(fine.coverage == 0).sum() == 0
    # The covered area of a square that slides over the pixels is its area, and its middle moves along.
    tile = create_renderer("warp", [square(0.1)], supersample=2)
    columns = torch.arange(32.0)
    areas, offsets = [], []
    for shift in np.linspace(0, 1, 33)[:-1]:
        coverage = tile.render(
            ZERO, pose((0, 0, 1)), intrinsics(103.0, 15.0 + shift, 15.3), (32, 32)
        ).coverage[0]
        areas.append(coverage.sum().item())
        offsets.append(((coverage.sum(0) * columns).sum() / coverage.sum()).item() - 15.0 - shift)
    assert np.mean(areas) == pytest.approx(10.3**2, rel=0.03)
    assert abs(np.mean(offsets)) < 0.02
    assert np.abs(offsets).max() < 0.26


def test_scenes_hide_each_other_and_name_the_instance(
    meshes: list[Mesh], renderer: warp_renderer.WarpRenderer
) -> None:
    size = (64, 64)
    K = intrinsics(120.0, 31.5, 31.5).repeat(3, 1, 1)
    places = [(0, 0, 0.6), (0.05, 0, 0.5), (0.06, 0.06, 0.9), (0.1, 0.03, 0.8), (-0.05, -0.05, 0.7)]
    poses = torch.cat([pose(place, Rotation.from_euler("x", 0.4)) for place in places])
    image, obj = torch.tensor([2, 0, 0, 2, 0]), torch.tensor([0, 1, 2, 2, 0])  # image 1 is empty
    scene = renderer.render_scenes(image, obj, poses, K, size)
    alone = renderer.render(obj, poses, K[:1].repeat(5, 1, 1), size)
    for b in range(3):
        rows = torch.nonzero(image == b)[:, 0]
        depth = torch.where(alone.mask[rows], alone.depth_m[rows], torch.inf)
        if len(rows) == 0:
            assert not scene.mask[b].any()
            assert (scene.rgb[b] == 0).all()
            continue
        nearest, which = depth.min(0)
        instance = torch.where(nearest.isfinite(), rows[which], -1).int()
        assert torch.equal(scene.instance[b], instance)
        assert torch.equal(scene.mask[b], instance >= 0)
        for row in rows:
            seen = instance == row
            assert seen.sum() > 20
            assert torch.equal(scene.rgb[b][:, seen], alone.rgb[row][:, seen])
            assert torch.equal(scene.depth_m[b][seen], alone.depth_m[row][seen])


def test_a_large_batch_is_drawn_in_parts(
    monkeypatch: pytest.MonkeyPatch, renderer: warp_renderer.WarpRenderer
) -> None:
    size = (32, 32)
    poses, K = random_views(8, size, (0.3, 0.5), seed=7)
    image, obj = torch.tensor([3, 1, 1, 0, 3, 2, 2, 3]), torch.arange(8) % 3
    whole = renderer.render_scenes(image, obj, poses, K[:5], size)
    monkeypatch.setattr(warp_renderer, "_MAX_SAMPLES", 2 * 32 * 32)
    assert_same(renderer.render_scenes(image, obj, poses, K[:5], size), whole)


@pytest.mark.parametrize("queue_length", [2**20, 5], ids=["queue", "full queue"])
def test_the_gpu_layout_draws_the_same(
    monkeypatch: pytest.MonkeyPatch, meshes: list[Mesh], queue_length: int
) -> None:
    """One thread for each face and pixel, large faces shared tile by tile: as on CUDA, here on the CPU."""
    size = (72, 50)
    poses, K = random_views(6, size, (0.03, 0.4), seed=8, spread=0.3)
    index = torch.arange(6) % 3
    renderer = create_renderer("warp", meshes, supersample=2)
    few = renderer.render(index, poses, K, size)
    renderer._many_threads = True
    monkeypatch.setattr(warp_renderer, "_LARGE_SAMPLES", 30.0)
    monkeypatch.setattr(warp_renderer, "_QUEUE_LENGTH", queue_length)
    monkeypatch.setattr(warp_renderer, "_QUEUE_THREADS", 1000)
    assert_same(renderer.render(index, poses, K, size), few)
    assert renderer._scratch.queued.item() > 100  # else nothing was shared


def test_no_instance_at_all(renderer: warp_renderer.WarpRenderer) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    result = renderer.render_scenes(
        none, none, torch.zeros(0, 4, 4), intrinsics(50.0, 8, 8).repeat(2, 1, 1), (16, 16)
    )
    assert result.rgb.shape == (2, 3, 16, 16)
    assert not result.mask.any()
    assert (result.instance == -1).all()


def test_two_threads_may_share_a_renderer(renderer: warp_renderer.WarpRenderer) -> None:
    size = (64, 64)
    jobs = [random_views(4, size, (0.3, 0.6), seed=seed) for seed in (10, 11)]
    index = torch.arange(4) % 3
    wanted = [renderer.render(index, *job, size) for job in jobs]
    wrong: list[str] = []

    def work(i: int) -> None:
        for _ in range(20):
            got = renderer.render(index, *jobs[i], size)
            wrong.extend(key for key in FIELDS if not torch.equal(getattr(got, key), getattr(wanted[i], key)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_errors_say_what_is_wrong(renderer: warp_renderer.WarpRenderer) -> None:
    one, K = pose((0, 0, 0.5)), intrinsics(50.0, 8, 8)
    with pytest.raises(ValueError, match="choose from warp, pyrender"):
        create_renderer("opengl", [square(texture=quadrant_texture())])
    with pytest.raises(ValueError, match="at least one mesh"):
        create_renderer("warp", [])
    with pytest.raises(ValueError, match="supersample is 1 to 8"):
        create_renderer("warp", [square()], supersample=0)
    with pytest.raises(ValueError, match="values 3 to 3, but there are only 3 objects"):
        renderer.render(torch.tensor([3]), one, K, (16, 16))
    with pytest.raises(ValueError, match="cam_from_obj contains NaN"):
        renderer.render(ZERO, one * torch.nan, K, (16, 16))
    with pytest.raises(ValueError, match=r"cam_from_obj has shape \(1, 3, 4\)"):
        renderer.render(ZERO, one[:, :3], K, (16, 16))
    with pytest.raises(ValueError, match="1 objects and 2 intrinsics"):
        renderer.render(ZERO, one, K.repeat(2, 1, 1), (16, 16))
    with pytest.raises(ValueError, match="only 1 images"):
        renderer.render_scenes(torch.tensor([1]), ZERO, one, K, (16, 16))
    with pytest.raises(ValueError, match="of integers"):
        renderer.render(torch.zeros(1), one, K, (16, 16))
