"""What lenses, sensors and encoders make of a scene. Everything is batched and runs where the pictures are."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from mrc_core.data.blurs import convolve, disc, line
from mrc_core.data.draws import Draws
from mrc_core.data.jpeg import jpeg
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.sensor import FEWEST, NoiseTiles, from_sensor, to_sensor

LUMA = (0.299, 0.587, 0.114)
KERNEL = 11  # px, of lens and motion blur
BOX_RADIUS = 0.55  # px: a disc that blurs as a square pixel does
SHARPENED = 0.25  # of the cameras, that sharpen
MIDDLE_GREY = 0.42  # what automatic exposure aims at ...
AUTOMATIC = 0.65  # ... going so far of the way


@lru_cache(maxsize=8)
def noise_tiles(device: torch.device) -> NoiseTiles:
    """The stock of noise of a device, made once."""
    return NoiseTiles(device)


def photometric(image: Tensor, rng: torch.Generator) -> Tensor:
    """Photographs (B, 3, S, S), 0..1, as another camera might have taken them: exposure, colours, blur, noise, JPEG."""
    camera = Camera(SceneConfig(), image.device)
    return camera.shoot(image, torch.ones(len(image)), torch.zeros_like(image[:, :1]), rng)


class Camera:
    """Turns scenes into pictures.

    Args:
        config: how far settings vary.
        device: where the pictures are.
    """

    def __init__(self, config: SceneConfig, device: torch.device) -> None:
        self._config, self._noise = config, noise_tiles(device)

    def shoot(self, scene: Tensor, crop_per_sensor: Tensor, off_axis: Tensor, rng: torch.Generator) -> Tensor:
        """Pictures (B, 3, S, S) in 0..1.

        Args:
            scene: (B, 3, S, S), RGB, 0 and more.
            crop_per_sensor: (B,), on the CPU: crop pixels for a pixel of the sensor.
            off_axis: (B, 1, S, S), each pixel's distance from the image's middle over half its diagonal.
            rng: draws every setting.
        """
        config, draws = self._config, Draws(len(scene), rng, scene.device)
        scale = crop_per_sensor.to(scene.device)
        light = self._exposed(scene, off_axis, draws)
        light = convolve(light, self._lens(scale, draws))
        coarse = (crop_per_sensor > FEWEST).nonzero().squeeze(1)
        here = coarse.to(scene.device)
        if len(coarse):
            light[here] = to_sensor(light[here], scale[here])
        # a crop pixel that is the mean of several of the sensor's has less of their noise
        light = self._noisy(light, scale.clamp(max=1), draws)
        picture = toned(light, draws)
        coded = Draws(len(scene), rng).chance(config.jpeg_fraction).nonzero().squeeze(1).to(scene.device)
        quality = draws.uniform(*config.jpeg_quality)
        shift = torch.randint(16, (2,), generator=rng).tolist()
        if len(coded):
            picture[coded] = jpeg(picture[coded], quality[coded], (shift[0], shift[1]))
        if len(coarse):
            picture[here] = from_sensor(picture[here], scale[here])
        return picture

    def _exposed(self, scene: Tensor, off_axis: Tensor, draws: Draws) -> Tensor:
        """Exposure, mostly by the picture's brightness and a little by chance, white balance and vignetting."""
        mean = scene.mean(dim=(1, 2, 3)).clamp(min=0.02)
        gain = (MIDDLE_GREY / mean) ** AUTOMATIC * 2 ** (self._config.exposure_stops * draws.normal())
        balance = torch.exp(0.06 * draws.normal(3, 1, 1))
        fall = draws.uniform(-0.3, 0.5, 1, 1, 1).clamp(min=0)
        return scene * (gain[:, None, None, None] * balance) * (1 - fall * off_axis**2)

    def _lens(self, scale: Tensor, draws: Draws) -> Tensor:
        """Kernels (B, KERNEL, KERNEL): defocus and the sensor's pixels, or motion; some sharpened."""
        config = self._config
        blur = config.blur_px * draws.uniform(-0.4, 1).clamp(min=0) ** 2
        pixel = torch.where(scale > 1, BOX_RADIUS * scale, 0.0)
        radius = (blur**2 + pixel**2).sqrt().clamp(max=KERNEL / 2 - 1.5)
        still = disc(radius, KERNEL)
        amount = (draws.uniform(0.1, 0.9) * draws.chance(SHARPENED))[:, None, None]
        still = still + amount * (still - disc(radius + 1, KERNEL))
        length = draws.uniform(min(2.0, config.motion_px), config.motion_px).clamp(max=KERNEL - 1)
        moved = line(length, draws.uniform(0, math.pi), KERNEL)
        moves = draws.chance(config.motion_fraction)[:, None, None]
        return torch.where(moves, moved, still)

    def _noisy(self, light: Tensor, amount: Tensor, draws: Draws) -> Tensor:
        """Noise of the light itself, which grows with its root, and of the electronics, which does not."""
        sigma = self._config.noise * draws.uniform(0, 1) ** 2 * amount
        shot = draws.uniform(0, 1, 1, 1, 1)
        grown = (1 - shot + shot * light.clamp(min=0) / 0.5).sqrt()
        noise = self._noise.windows(draws, light.shape[-1])
        return light + noise * grown * sigma[:, None, None, None]


def toned(light: Tensor, draws: Draws) -> Tensor:
    """Contrast, saturation and tone curve of the camera's processing: 0..1 from 0 and more."""
    shape = (1, 1, 1)
    mean = light.mean(dim=(1, 2, 3), keepdim=True)
    light = mean + (light - mean) * draws.uniform(0.8, 1.2, *shape)
    grey = torch.einsum("c,bchw->bhw", light.new_tensor(LUMA), light)[:, None]
    light = grey + (light - grey) * draws.uniform(0.7, 1.2, *shape)
    return light.clamp(1e-4, 1) ** torch.exp(0.15 * draws.normal(*shape))


def blank_patches(size: int, fraction: float, draws: Draws) -> tuple[Tensor, Tensor]:
    """Where patches (B, 1, size, size), bool, hide something, and their colours (B, 3, 1, 1).

    For a `fraction` of the samples, up to three rectangles of at most a quarter of the crop's side.
    """
    half = draws.uniform(0.03, 0.125, 3, 2) * size
    centre = draws.uniform(0.1, 0.9, 3, 2) * size
    shown = draws.chance(0.6, 3) & draws.chance(fraction, 1)
    axis = torch.arange(size, device=draws.device)
    inside = (axis - centre[..., None]).abs() <= half[..., None]  # (B, 3, 2, size)
    hidden = (inside[:, :, 1, :, None] & inside[:, :, 0, None, :] & shown[..., None, None]).any(dim=1)
    return hidden[:, None], draws.uniform(0, 1, 3, 1, 1)
