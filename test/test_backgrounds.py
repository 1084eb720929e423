"""Backgrounds: painted and photographed textures, tables in perspective; shadows on them."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from render_scenes import square

from mrc_core.data.backgrounds import Backdrops
from mrc_core.data.image_folder import HALF_BYTES, QUARTER_BYTES, ImageFolder
from mrc_core.data.pixel_rays import PixelRays
from mrc_core.data.procedural_textures import (
    cloth,
    clutter,
    paint,
    palette,
    plaster,
    printed,
    tiles,
    wall,
    wood,
)
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.shadows import lit_share
from mrc_core.data.shapes import MeshShapes
from mrc_core.data.surroundings import Instances, Support
from mrc_core.data.texture_pool import SIDE, WINDOW, TexturePool
from mrc_core.rendering import create_renderer

CPU = torch.device("cpu")
K = torch.tensor([[200.0, 0, 31.5], [0, 210, 31.5], [0, 0, 1]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# ---- painted ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("painter", [plaster, wood, tiles, cloth, clutter, printed, wall])
def test_painters_paint_anew_from_every_seed(painter):
    images = [painter(np.random.default_rng(seed), 96) for seed in (0, 0, 1)]
    assert all(image.shape == (96, 96, 3) and np.isfinite(image).all() for image in images)
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    assert images[0].min() > -0.6 and images[0].max() < 1.6  # noqa: PT018


def test_textures_are_of_many_colours_and_grain():
    textures = [paint(np.random.default_rng(seed), 64) for seed in range(40)]
    assert {(t.shape, t.dtype.name) for t in textures} == {((64, 64, 3), "uint8")}
    assert np.std([t.mean() for t in textures]) > 25
    detail = [np.abs(np.diff(t.astype(float), axis=1)).mean() for t in textures]
    assert max(detail) > 8 * min(detail)


def test_most_colours_are_pale():
    colours = palette(np.random.default_rng(0), 2000)
    chroma = colours.max(axis=1) - colours.min(axis=1)
    assert np.mean(chroma < 0.25) > 0.6
    assert np.mean(chroma > 0.45) > 0.05


# ---- the stock -------------------------------------------------------------------------------------------------------
def numbered(rng, side):
    """A texture of one colour, which tells its number apart."""
    return np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)


def flat(pool, batch, which):
    """Colours (B, 3) of textures."""
    at = torch.full((len(which), 2, 2), 100.0)
    return pool.sample(batch, torch.tensor(which), at, at)[:, :, 0, 0]


def test_a_batch_finds_the_same_textures_in_any_order():
    pool, other = (TexturePool(numbered, 3, 2, CPU) for _ in range(2))
    numbers = [0, 1, 10**9, 5, 0, 400, 10**9 + 1]
    found = {n: flat(pool, n, [0, 7, WINDOW - 1]) for n in numbers}
    for n in sorted(numbers, reverse=True):
        assert torch.equal(flat(other, n, [0, 7, WINDOW - 1]), found[n])
    assert torch.equal(found[10**9], found[10**9 + 1])
    assert torch.equal(flat(pool, 2, [0]), flat(pool, 0, [1]))  # one further every other batch
    assert not torch.equal(flat(TexturePool(numbered, 4, 2, CPU), 0, [0]), found[0][:1])


def test_a_run_in_order_makes_one_texture_in_two_batches():
    made = []

    def counted(rng, side):
        made.append(1)
        return numbered(rng, side)

    pool = TexturePool(counted, 0, 2, CPU)
    everything = list(range(WINDOW))
    flat(pool, 0, everything)
    assert len(made) == WINDOW
    for batch in range(1, 41):
        flat(pool, batch, everything)
    assert len(made) == WINDOW + 20


def test_threads_do_not_mix_up_the_stock():
    pool, plain = TexturePool(numbered, 0, 2, CPU), TexturePool(numbered, 0, 2, CPU)
    numbers = [n for start in (0, 1000, 0, 30) for n in range(start, start + 8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: flat(pool, n, [0, 20, 40]), numbers))
    assert all(torch.equal(flat(plain, n, [0, 20, 40]), colours) for n, colours in zip(numbers, found))


def test_textures_are_mirrored_and_keep_to_themselves():
    """A ramp from left to right; up to a texture's border nothing of the next one shows."""

    def ramp(rng, side):
        return np.repeat(np.tile(np.arange(side, dtype=np.uint8)[None, :, None], (side, 1, 1)), 3, axis=2)

    pool = TexturePool(ramp, 0, 2, CPU)
    x = torch.tensor([[[0.5, 10.5, 255.5, 256.0, 260.5, 511.5, 512.5, -3.5]]])
    colour = pool.sample(0, torch.tensor([9]), x, torch.full_like(x, SIDE + 3.0))[0, 0, 0] * 255
    assert colour.tolist() == pytest.approx([0, 10, 255, 255, 251, 0, 0, 3], abs=0.02)


# ---- photos ----------------------------------------------------------------------------------------------------------
def write_photo(path, size=(90, 120), seed=0, suffix=".jpg"):
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path.with_suffix(suffix)), image)
    return path.with_suffix(suffix)


def test_pictures_are_found_in_folders_below(tmp_path):
    write_photo(tmp_path / "a" / "one", suffix=".PNG")
    write_photo(tmp_path / "two")
    (tmp_path / "notes.txt").write_text("no picture")
    folder = ImageFolder(tmp_path)
    assert [file.name for file in folder.files] == ["one.PNG", "two.jpg"]
    crops = [folder.crop(np.random.default_rng(seed), 32) for seed in (0, 0, 1, 2, 3)]
    assert all(crop.shape == (32, 32, 3) for crop in crops)
    assert np.array_equal(crops[0], crops[1])
    assert not all(np.array_equal(a, b) for a, b in pairwise(crops[1:]))


def test_a_crop_is_a_part_of_its_picture_in_rgb(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = 200  # blue in OpenCV's order
    assert cv2.imwrite(str(tmp_path / "blue.png"), image)
    assert (ImageFolder(tmp_path).crop(np.random.default_rng(0), 16) == (0, 0, 200)).all()


def test_unreadable_pictures_are_left_out_and_counted(tmp_path, caplog):
    good = write_photo(tmp_path / "good")
    (tmp_path / "broken.jpg").write_bytes(good.read_bytes()[:40])
    (tmp_path / "empty.png").write_bytes(b"")
    folder = ImageFolder(tmp_path)
    for seed in range(12):
        assert folder.crop(np.random.default_rng(seed), 16).std() > 0
    assert [file.name for file in folder.unreadable] == ["broken.jpg", "empty.png"]
    assert len(caplog.records) == 2  # once each, not once a batch
    assert "cannot be read" in caplog.text
    good.unlink()
    with pytest.raises(ValueError, match="none of the 3 pictures"):
        folder.crop(np.random.default_rng(0), 16)


@pytest.mark.parametrize("megabytes", [HALF_BYTES, QUARTER_BYTES])
def test_large_pictures_are_read_smaller(tmp_path, megabytes):
    path = write_photo(tmp_path / "large", (480, 640))
    path.write_bytes(path.read_bytes() + b"\0" * megabytes)  # what follows the picture is skipped
    read = ImageFolder(tmp_path)._read(path)
    assert read is not None
    assert read.shape[1] in (160, 320)
    assert ImageFolder(tmp_path).crop(np.random.default_rng(0), 64).shape == (64, 64, 3)


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        ImageFolder(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="holds no picture"):
        Backdrops(SceneConfig(backgrounds=str(tmp_path)), 0, CPU)


# ---- backdrops -------------------------------------------------------------------------------------------------------
def tables(count, present=True):
    """Horizontal ones, 0.3 m below the camera."""
    normal = torch.tensor([0.0, -0.8, -0.6]).expand(count, 3)
    return Support(normal, torch.full((count,), -0.3), torch.full((count,), present))


def draw(backdrops, support, batch=0, seed=0):
    count = len(support.height)
    rays = PixelRays.of(K.expand(count, 3, 3), 64)
    contact = torch.tensor([0.0, 0.0, 0.5]).expand(count, 3)
    return backdrops.draw(batch, rays, contact, torch.full((count,), 0.03), support, seeded(seed))


def test_tables_lie_where_they_are_said_to():
    back = draw(Backdrops(SceneConfig(), 0, CPU), tables(12))
    rays = PixelRays.of(K.expand(12, 3, 3), 64)
    seen = back.table_depth_m > 0
    assert seen.float().mean() > 0.5
    points = torch.stack([rays.x * back.table_depth_m, rays.y * back.table_depth_m, back.table_depth_m], dim=-1)
    off = points @ torch.tensor([0.0, -0.8, -0.6]) + 0.3
    assert off[seen].abs().max() < 1e-5
    assert (back.table_share[:, 0][seen] > 0.5).all()
    assert back.table.min() >= 0 and back.table.max() <= 1  # noqa: PT018


def test_no_table_ends_under_the_target_but_some_end_near():
    back = draw(Backdrops(SceneConfig(), 0, CPU), tables(60))
    # the target, 0.03 m in radius and 0.5 m away, stands in the middle: 12 px around the centre, fewer up and down
    assert (back.table_share[:, 0, 27:37, 22:42] == 1).all()
    ends = (back.table_share < 0.5).any(dim=(1, 2, 3)).sum()
    assert 3 < ends < 40


def test_scenes_without_a_table_have_none():
    support = tables(6)
    support.present[[1, 4]] = False
    back = draw(Backdrops(SceneConfig(), 0, CPU), support)
    assert back.rows.tolist() == [0, 2, 3, 5]
    assert not (back.table_depth_m[[1, 4]] > 0).any()
    assert draw(Backdrops(SceneConfig(), 0, CPU), tables(3, False)).table.shape == (0, 3, 64, 64)


def test_backgrounds_are_reproducible_and_varied():
    backdrops = Backdrops(SceneConfig(), 0, CPU)
    first = draw(backdrops, tables(24))
    again = draw(Backdrops(SceneConfig(), 0, CPU), tables(24))
    assert torch.equal(first.far, again.far)
    assert torch.equal(first.table, again.table)
    assert not torch.equal(first.far, draw(backdrops, tables(24), batch=500).far)  # other textures
    assert first.far.mean(dim=(1, 2, 3)).std() > 0.1


def test_photos_are_used_as_often_as_configured(tmp_path):
    image = np.full((40, 40, 3), (10, 10, 250), np.uint8)  # red: no painted texture is
    assert cv2.imwrite(str(tmp_path / "red.png"), image)

    def red(fraction):
        config = SceneConfig(backgrounds=str(tmp_path), photo_fraction=fraction)
        far = draw(Backdrops(config, 0, CPU), tables(40, False)).far
        return float(((far[:, 0] - far[:, 1]).flatten(1).mean(dim=1) > 0.4).float().mean())

    assert red(0.0) < 0.1
    assert red(1.0) > 0.6  # some are recoloured
    assert red(0.0) < red(0.5) < red(1.0)


# ---- shadows ---------------------------------------------------------------------------------------------------------
def shadow_of_a_plate(to_light, softness=0.5):
    """A plate of 0.1 m that faces the camera at 0.5 m, a wall at 0.6 m behind: what light reaches the wall."""
    mesh = square(0.1)
    renderer = create_renderer("warp", [mesh])
    pose = torch.eye(4)[None]
    pose[:, 2, 3] = 0.5
    everything = Instances(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), pose)
    rays = PixelRays.of(K[None], 64)
    light = torch.nn.functional.normalize(torch.tensor([to_light]), dim=1)
    shapes = MeshShapes.of([mesh])
    return lit_share(
        renderer, everything, shapes, pose[:, :3, 3], shapes.radius, light, torch.tensor([softness]), rays,
        torch.full((1, 64, 64), 0.6),
    )[0]  # fmt: skip


def test_a_shadow_falls_where_the_plate_hides_the_light():
    """With the light straight behind the camera at infinity the shadow on the wall is as large as the plate; with the
    light from the upper left it moves to the lower right."""
    lit = shadow_of_a_plate((0.0, 0.0, -1.0))
    half = 200 * 0.05 / 0.6  # px, of the plate on the wall
    assert (lit[32 - 12 : 32 + 12, 32 - 12 : 32 + 12] < 0.1).all()
    assert (lit[:8] > 0.9).all()
    assert (lit < 0.5).float().mean() * 64**2 == pytest.approx(4 * half**2 * 1.05, rel=0.15)
    moved = shadow_of_a_plate((-0.5, -0.3, -1.0))
    rows, columns = (moved < 0.5).nonzero().float().mean(dim=0)
    assert float(columns) == pytest.approx(31.5 + 200 * 0.05 / 0.6, abs=1.5)  # 0.1 m behind, 0.5 m aside for each
    assert float(rows) == pytest.approx(31.5 + 210 * 0.03 / 0.6, abs=1.5)


def test_soft_shadows_have_a_wide_rim():
    rim = [((s > 0.1) & (s < 0.9)).sum() for s in (shadow_of_a_plate((0.0, 0, -1), b) for b in (0.3, 2.5))]
    assert rim[1] > 1.5 * rim[0]


def test_what_is_before_the_caster_is_lit():
    mesh = square(0.1)
    renderer = create_renderer("warp", [mesh])
    pose = torch.eye(4)[None]
    pose[:, 2, 3] = 0.5
    everything = Instances(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), pose)
    shapes = MeshShapes.of([mesh])
    for depth in (0.4, 0.5):  # between light and plate, and the plate itself
        lit = lit_share(
            renderer, everything, shapes, pose[:, :3, 3], shapes.radius, torch.tensor([[0.0, 0, -1]]),
            torch.tensor([1.0]), PixelRays.of(K[None], 64), torch.full((1, 64, 64), depth),
        )  # fmt: skip
        assert lit.min() > 0.95
