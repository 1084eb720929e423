"""What a scene shows beside its objects: a table in perspective where there is one, and something far away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mrc_core.data.blurs import convolve, gaussian
from mrc_core.data.draws import Draws
from mrc_core.data.image_folder import ImageFolder
from mrc_core.data.materials import sample_materials
from mrc_core.data.pixel_rays import PixelRays
from mrc_core.data.procedural_textures import paint
from mrc_core.data.scene_config import SceneConfig
from mrc_core.data.surroundings import Support
from mrc_core.data.texture_pool import SIDE, WINDOW, TexturePool

BATCHES = 2  # after so many batches one texture of a kind is replaced
FAR_BLUR_PX = 2.5  # greatest standard deviation, px of the crop
RECOLOURED = 0.15  # of the textures, that have any colours
EDGE_FRACTION = 0.4  # of the tables, that end not far from the target


@dataclass(frozen=True)
class Backdrop:
    """Of B crops, T of which have a table: the far background (B, 3, S, S), RGB, lit; which crops have a table, rows
    (T,); its albedo (T, 3, S, S), the share (T, 1, S, S) of each pixel that it covers, and its depth (B, S, S) in
    metres, 0 where it is not."""

    far: Tensor
    rows: Tensor
    table: Tensor
    table_share: Tensor
    table_depth_m: Tensor


class Backdrops:
    """Makes backgrounds on a device, from painted textures and, where the configuration names a folder, from photos.

    Raises:
        FileNotFoundError: that folder is missing or holds no picture.
    """

    def __init__(self, config: SceneConfig, seed: int, device: torch.device) -> None:
        self.photos = ImageFolder(config.backgrounds) if config.backgrounds else None
        self._painted = TexturePool(paint, seed, BATCHES, device)
        self._photographed = (
            TexturePool(self.photos.crop, seed, BATCHES, device) if self.photos is not None else None
        )
        self._photo_fraction = config.photo_fraction if self.photos is not None else 0.0

    def draw(
        self,
        batch: int,
        rays: PixelRays,
        contact: Tensor,
        radius: Tensor,
        support: Support,
        rng: torch.Generator,
    ) -> Backdrop:
        """The backgrounds of a batch.

        Args:
            batch: its number; see `TexturePool`.
            rays: of the crops' pixels.
            contact: the targets' origins (B, 3), metres.
            radius: of the targets (B,), metres.
            support: the tables, on the CPU.
            rng: draws textures, places and colours.
        """
        device = rays.x.device
        far = self._far(batch, rays, Draws(len(rays), rng, device))
        chosen = support.present.nonzero().squeeze(1)
        rows, draws = chosen.to(device), Draws(len(chosen), rng, device)
        table, depth, share = self._table(
            batch, rays.take(rows), contact[rows], radius[rows], support.take(chosen).to(device), draws
        )
        depth_m = depth.new_zeros(len(rays), *depth.shape[1:])
        depth_m[rows] = depth
        return Backdrop(far, rows, table, share, depth_m)

    def _far(self, batch: int, rays: PixelRays, draws: Draws) -> Tensor:
        """Far away: a texture that fills the crop, lit anyhow and mostly out of focus."""
        scale = draws.log_uniform(0.25, 1.6) / rays.step  # texels for a unit of x and y
        angle = draws.uniform(-1, 1) * torch.where(draws.chance(0.3), math.pi, 0.3)
        u, v = _turned(rays.x, rays.y, angle, scale)
        colour = self._sample(batch, u, v, draws)
        light = torch.exp(0.35 * draws.normal(1, 1, 1))
        sigma = draws.uniform(-0.5 * FAR_BLUR_PX, FAR_BLUR_PX).clamp(min=0)
        return convolve(colour * light, gaussian(sigma, 9))

    def _table(
        self,
        batch: int,
        rays: PixelRays,
        contact: Tensor,
        radius: Tensor,
        support: Support,
        draws: Draws,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Albedo (T, 3, S, S), depth (T, S, S) and share of each pixel (T, 1, S, S) of T crops that have a table."""
        facing = rays.dot(support.normal)  # negative where a ray comes down on the table
        hits = facing < -1e-3
        depth = torch.where(hits, support.height[:, None, None] / facing, 0.0)
        along, across = _basis(support.normal)
        x = depth * rays.dot(along) - (contact * along).sum(dim=1)[:, None, None]
        y = depth * rays.dot(across) - (contact * across).sum(dim=1)[:, None, None]
        fineness = draws.log_uniform(0.5, 1.4)  # texels for a pixel that looks straight at the table near the target
        u, v = _turned(x, y, draws.uniform(0, 2 * math.pi), fineness / (rays.step * contact[:, 2]))
        colour = self._sample(batch, u, v, draws)
        # where a pixel covers many texels, their mean instead of one of them
        slant = rays.length() / facing.abs().clamp(min=1e-3)
        pixel_m = rays.step[:, None, None] * depth * slant  # the long side of what a pixel covers
        texels = (fineness / (rays.step * contact[:, 2]))[:, None, None] * pixel_m
        blend = ((texels - 2) / 6).clamp(0, 1)[:, None]
        colour = torch.lerp(colour, colour.mean(dim=(2, 3), keepdim=True), blend)
        # some tables end: a line that the target does not cross
        ends, angle = draws.chance(EDGE_FRACTION), draws.uniform(0, 2 * math.pi)
        limit = radius * draws.uniform(1.1, 4.0) + torch.where(ends, 0.0, 1e3)
        beyond = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y - limit[:, None, None]
        share = torch.where(hits, (0.5 - beyond / pixel_m.clamp(min=1e-6)).clamp(0, 1), 0.0)
        return colour, torch.where(share > 0.5, depth, 0.0), share[:, None]

    def _sample(self, batch: int, x: Tensor, y: Tensor, draws: Draws) -> Tensor:
        """Textures at texel coordinates (B, S, S), each moved to some place and recoloured, 0..1."""
        shift = draws.uniform(0, 2 * SIDE, 2, 1, 1)
        x, y = x + shift[:, 0], y + shift[:, 1]
        choices = Draws(len(x), draws.rng)  # on the CPU, where textures are made
        which, photographed = choices.whole(WINDOW), choices.chance(self._photo_fraction)
        colour = x.new_empty(len(x), 3, *x.shape[1:])
        for pool, chosen in ((self._painted, ~photographed), (self._photographed, photographed)):
            if pool is not None and chosen.all():  # the usual case, without photos: nothing to pick out
                colour = pool.sample(batch, which, x, y)
            elif pool is not None and chosen.any():
                rows = chosen.nonzero().squeeze(1)
                here = rows.to(x.device)
                colour[here] = pool.sample(batch, which[rows], x[here], y[here])
        materials = sample_materials(
            choices.uniform(0.5, 2.0), choices.chance(RECOLOURED), draws.rng
        ).to(x.device)
        flat = torch.baddbmm(materials.shift[:, :, None], materials.mix, colour.flatten(2))
        return flat.view_as(colour).clamp(0, 1)


def _turned(x: Tensor, y: Tensor, angle: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (B, S, S), or a row and a column of them, turned by angles (B,) and scaled by factors (B,)."""
    cosine, sine = (scale * angle.cos())[:, None, None], (scale * angle.sin())[:, None, None]
    return cosine * x - sine * y, sine * x + cosine * y


def _basis(normal: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors (B, 3) each, at right angles to the normals and to each other."""
    helper = torch.where(
        normal[:, :1].abs() < 0.8, normal.new_tensor([1.0, 0, 0]), normal.new_tensor([0, 1.0, 0])
    )
    along = torch.nn.functional.normalize(torch.linalg.cross(helper, normal), dim=-1)
    return along, torch.linalg.cross(normal, along)
