"""Lens, sensor, encoder: each does what it says, and no sample sees another's."""

import math

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT

from mrc_core.data.augmentation import Camera, blank_patches, photometric
from mrc_core.data.blurs import convolve, disc, gaussian, line
from mrc_core.data.draws import Draws
from mrc_core.data.jpeg import jpeg
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.sensor import NoiseTiles, from_sensor, to_sensor
from mrc_core.geometry import Mesh

CPU = torch.device("cpu")
QUIET = SceneConfig(
    exposure_stops=0.0, blur_px=0.0, motion_fraction=0.0, noise=0.0, jpeg_fraction=0.0, patch_fraction=0.0
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


@pytest.fixture(scope="module")
def picture():
    """A printed box's texture (3, 192, 256) with a soft shade: fine print, edges, flat parts."""
    texture = Mesh.load(ROOT / "demo" / "objects" / "tea_box.glb").texture
    small = cv2.resize(texture, (256, 256), interpolation=cv2.INTER_AREA)[:192]
    image = torch.from_numpy(small.copy()).permute(2, 0, 1).float() / 255
    return image * torch.linspace(0.6, 1, 256)


# ---- JPEG ------------------------------------------------------------------------------------------------------------
def opencv_jpeg(image, quality):
    bgr = (image.permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
    data = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()
    return torch.from_numpy(decoded).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("quality", [30, 50, 70, 90])
def test_jpeg_is_opencvs(picture, quality):
    rounded = (picture * 255).round() / 255
    ours = jpeg(rounded[None], torch.tensor([float(quality)]))[0]
    theirs = opencv_jpeg(rounded, quality)
    loss, true_loss = psnr(ours, rounded), psnr(theirs, rounded)
    assert abs(loss - true_loss) < 0.5
    assert psnr(ours, theirs) > true_loss + 5  # not only as bad, but wrong in the same places


def test_jpeg_with_moved_blocks_is_that_of_a_moved_picture(picture):
    rounded = (picture * 255).round() / 255
    moved = torch.nn.functional.pad(rounded[None], (5, 0, 3, 0), mode="replicate")
    quality = torch.tensor([40.0])
    assert psnr(jpeg(rounded[None], quality, (3, 5)), jpeg(moved, quality)[..., 3:, 5:]) > 60


def test_jpeg_takes_any_size_and_a_quality_each(picture):
    pair = picture[None, :, :75, :101].repeat(2, 1, 1, 1)
    coded = jpeg(pair, torch.tensor([20.0, 95.0]))
    assert coded.shape == pair.shape
    assert psnr(coded[1], pair[1]) > psnr(coded[0], pair[0]) + 6
    assert torch.equal(jpeg(pair[:1], torch.tensor([20.0])), coded[:1])


# ---- blur ------------------------------------------------------------------------------------------------------------
def test_kernels_sum_to_one_and_zero_does_nothing():
    values = torch.tensor([0.0, 0.7, 2.0, 4.0])
    for kernels in (gaussian(values, 11), disc(values, 11), line(values, values, 11)):
        assert torch.allclose(kernels.sum(dim=(1, 2)), torch.ones(4))
        assert kernels[0, 5, 5] > 0.999
        assert (kernels >= 0).all()


def test_gaussians_have_their_deviation():
    kernels = gaussian(torch.tensor([0.8, 1.5]), 13)
    taps = torch.arange(13) - 6.0
    for kernel, sigma in zip(kernels, (0.8, 1.5)):
        assert float((kernel.sum(dim=0) * taps**2).sum().sqrt()) == pytest.approx(sigma, rel=0.03)


@pytest.mark.parametrize("angle", [0.0, math.pi / 2, math.pi / 4])
def test_lines_run_along_their_angle(angle):
    """x to the right, y down."""
    kernel = line(torch.tensor([8.0]), torch.tensor([angle]), 11)[0]
    taps = torch.arange(11) - 5.0
    along = math.cos(angle) * taps[None, :] + math.sin(angle) * taps[:, None]
    across = math.cos(angle) * taps[:, None] - math.sin(angle) * taps[None, :]
    assert float((kernel * along**2).sum().sqrt()) == pytest.approx(8 / 12**0.5, rel=0.1)
    assert float((kernel * across**2).sum().sqrt()) < 0.6


def test_every_sample_has_its_own_kernel(picture):
    batch = picture[None, :, :64, :64].repeat(3, 1, 1, 1)
    blurred = convolve(batch, disc(torch.tensor([0.0, 1.5, 3.0]), 11))
    assert torch.allclose(blurred[0], batch[0], atol=1e-6)
    detail = [float((b[:, :, 1:] - b[:, :, :-1]).square().mean()) for b in blurred]
    assert detail[0] > 1.4 * detail[1] > 2 * detail[2]
    grey = convolve(torch.full((1, 3, 16, 16), 0.4), disc(torch.tensor([3.0]), 11))
    assert torch.allclose(grey, torch.tensor(0.4))  # the border too


# ---- sensor ----------------------------------------------------------------------------------------------------------
def test_sensor_pixels_lie_where_they_say():
    """A ramp is sampled at (i + 1/2) s - 1/2, and the way back is exact within."""
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    scale = torch.tensor([2.5])
    sampled = to_sensor(ramp, scale)
    expected = (torch.arange(24) + 0.5) * 2.5 - 0.5
    assert torch.allclose(sampled[0, 0, 5, :24], expected, atol=1e-3)
    back = from_sensor(sampled, scale)
    assert torch.allclose(back[0, 0, :, 4:58], ramp[0, 0, :, 4:58], atol=1e-3)
    both = torch.cat([ramp, ramp.transpose(2, 3)])
    assert torch.allclose(to_sensor(both, torch.tensor([2.5, 2.5]))[1, 0, :24, 5], expected, atol=1e-3)


def test_noise_has_its_deviation_and_no_mean():
    noise = NoiseTiles(CPU).windows(Draws(64, seeded(), CPU), 128)
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert not torch.equal(noise[0], noise[1])
    together = (noise[:, 0] * noise[:, 1]).mean(dim=(1, 2))
    assert 0.0 < together.min() < together.max() < 0.9  # the channels have something in common, but not all


# ---- the whole camera ------------------------------------------------------------------------------------------------
def shoot(scene, config, seed=0, per_sensor=1.0):
    off_axis = torch.zeros_like(scene[:, :1])
    return Camera(config, CPU).shoot(scene, torch.full((len(scene),), per_sensor), off_axis, seeded(seed))


def test_pictures_are_reproducible_in_range_and_of_all_sorts(picture):
    scene = picture[None, :, :128, :128].repeat(16, 1, 1, 1)
    first = shoot(scene, SceneConfig())
    assert torch.equal(first, shoot(scene, SceneConfig()))
    assert not torch.equal(first, shoot(scene, SceneConfig(), seed=1))
    assert first.min() >= 0 and first.max() <= 1  # noqa: PT018
    brightness = first.mean(dim=(1, 2, 3))
    assert brightness.std() > 0.05
    assert 0.15 < brightness.mean() < 0.7
    warmth = (first[:, 0] - first[:, 2]).mean(dim=(1, 2))
    assert warmth.std() > 0.02


def test_exposure_is_mostly_automatic(picture):
    scene = picture[None, :, :64, :64].repeat(8, 1, 1, 1)
    bright, dark = (shoot(scene * level, QUIET).mean() for level in (2.0, 0.2))
    assert 1 < bright / dark < 3  # not 10


def test_noise_grows_with_its_setting_and_shrinks_where_pixels_are_averaged():
    grey = torch.full((24, 3, 64, 64), 0.5)
    deviation = [
        float(shoot(grey, QUIET.model_copy(update={"noise": n}), 1, s).flatten(2).std(dim=2).mean())
        for n, s in ((0.0, 1.0), (0.1, 1.0), (0.1, 0.25))
    ]
    assert deviation[0] < 1e-4
    assert 0.01 < deviation[1] < 0.1
    assert deviation[2] == pytest.approx(deviation[1] / 4, rel=0.1)


def test_few_sensor_pixels_leave_little_detail(picture):
    scene = picture[None, :, :128, :128].repeat(6, 1, 1, 1)
    sharp, coarse = shoot(scene, QUIET), shoot(scene, QUIET, per_sensor=3.0)
    detail = [float((p[..., 1:] - p[..., :-1]).abs().mean()) for p in (sharp, coarse)]
    assert detail[1] < 0.75 * detail[0]
    assert psnr(sharp, coarse) > 14  # of the same picture, in the same place
    shifted = psnr(sharp[..., 6:], coarse[..., :-6])
    assert psnr(sharp, coarse) > shifted + 1


def test_vignettes_darken_the_corners_alone():
    scene = torch.full((32, 3, 32, 32), 0.5)
    off_axis = torch.linspace(0, 1, 32).expand(32, 1, 32, 32)
    shot = Camera(QUIET, CPU).shoot(scene, torch.ones(32), off_axis, seeded())
    fall = shot[..., 0].mean(dim=(1, 2)) - shot[..., 31].mean(dim=(1, 2))
    assert fall.min() > -1e-3
    assert fall.max() > 0.1
    assert (fall < 1e-3).any()  # some lenses have none


def test_photographs_stay_what_they_are(picture):
    photos = picture[None, :, :128, :128].repeat(8, 1, 1, 1)
    other = photometric(photos, seeded())
    assert torch.equal(other, photometric(photos, seeded()))
    likeness = [
        float(np.corrcoef(a.mean(dim=0).flatten(), b.mean(dim=0).flatten())[0, 1]) for a, b in zip(photos, other)
    ]
    assert min(likeness) > 0.7
    assert psnr(photos, other) < 30


def test_patches_are_rectangles_in_the_configured_share():
    hidden, colour = blank_patches(64, 0.5, Draws(400, seeded(), CPU))
    assert hidden.shape == (400, 1, 64, 64)
    assert colour.shape == (400, 3, 1, 1)
    has = hidden.any(dim=(1, 2, 3))
    assert has.float().mean() == pytest.approx(0.5 * (1 - 0.4**3), abs=0.06)
    assert hidden[has].float().mean(dim=(1, 2, 3)).max() < 3 * 0.27**2
    assert not blank_patches(64, 0.0, Draws(50, seeded(), CPU))[0].any()
