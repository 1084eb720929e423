"""`toolbox`: a box with a handle that looks the same after half a turn about z, and only then (discrete symmetry)."""

from __future__ import annotations

import numpy as np
import trimesh
from PIL import Image

from .artwork import Artwork, atlas
from .surface import AtlasRegion, Color, RoundedBox, Surface, join, to_trimesh

ATLAS_PX = 512
# Opposite walls share one picture, which makes them equal by construction.
WALL = AtlasRegion(4, 4, 380, 140)
END = AtlasRegion(4, 152, 200, 140)
LID_WALL = AtlasRegion(4, 300, 380, 40)
LID_END = AtlasRegion(212, 152, 200, 40)
LID_TOP = AtlasRegion(4, 348, 280, 154)
BOTTOM = AtlasRegion(292, 348, 200, 110)
SWATCHES = {
    name: AtlasRegion(400 + 36 * i, 20, 16, 16) for i, name in enumerate(("black", "steel", "yellow"))
}
RED: Color = (176, 30, 34)
DARK_RED: Color = (120, 18, 24)
BLACK: Color = (34, 34, 38)
STEEL: Color = (164, 168, 172)
YELLOW: Color = (242, 190, 28)
WHITE: Color = (244, 242, 236)
GREY: Color = (88, 90, 94)
SIZE_M = (0.19, 0.10, 0.07)


def build() -> trimesh.Trimesh:
    """The toolbox, 0.19 x 0.11 x 0.13 m with its handle; front (-y) and back are alike, as are both ends."""
    half_parts = [
        _walls(RoundedBox(SIZE_M, radius=0.004, cells=8), WALL, END),
        _walls(RoundedBox((0.196, 0.106, 0.02), radius=0.005, cells=5), LID_WALL, LID_END).moved(
            (0, 0, 0.045)
        ),
        _plain((0.022, 0.010, 0.030), 0.003, "steel").moved((-0.058, -0.0535, 0.030)),
        _plain((0.022, 0.010, 0.030), 0.003, "steel").moved((0.058, -0.0535, 0.030)),
        _plain((0.014, 0.016, 0.030), 0.003, "black").moved((0.052, 0, 0.064)),
    ]
    half = join(half_parts)
    middle = [
        RoundedBox((0.196, 0.106, 0.02), radius=0.005, cells=5)
        .textured({"top": LID_TOP, "bottom": SWATCHES["black"]}, ATLAS_PX)
        .moved((0, 0, 0.045)),
        RoundedBox(SIZE_M, radius=0.004, cells=8).textured(
            {"bottom": BOTTOM, "top": SWATCHES["black"]}, ATLAS_PX
        ),
        _plain((0.124, 0.022, 0.018), 0.007, "yellow").moved((0, 0, 0.084)),
    ]
    pictures: list[tuple[AtlasRegion, Image.Image]] = [
        (WALL, _wall()),
        (END, _end()),
        (LID_WALL, Image.new("RGB", (LID_WALL.width, LID_WALL.height), DARK_RED)),
        (LID_END, Image.new("RGB", (LID_END.width, LID_END.height), DARK_RED)),
        (LID_TOP, _two_fold(_lid_top())),
        (BOTTOM, _two_fold(_bottom())),
    ]
    for (_, region), color in zip(SWATCHES.items(), (BLACK, STEEL, YELLOW)):
        pictures.append((region, Image.new("RGB", (region.width, region.height), color)))
    return to_trimesh(
        join([half, half.half_turn(), *middle]), "toolbox", atlas(pictures, ATLAS_PX, gutter=4), 0.45
    )


def _walls(box: RoundedBox, wall: AtlasRegion, end: AtlasRegion) -> Surface:
    return box.textured({"front": wall, "right": end}, ATLAS_PX)


def _plain(size: tuple[float, float, float], radius: float, swatch: str) -> Surface:
    sides = ("front", "back", "left", "right", "top", "bottom")
    return RoundedBox(size, radius, cells=1).textured(dict.fromkeys(sides, SWATCHES[swatch]), ATLAS_PX)


def _two_fold(picture: Image.Image) -> Image.Image:
    """Its left half, completed by the same half turned by 180 degrees: exact to the pixel."""
    pixels = np.asarray(picture).copy()
    middle = pixels.shape[1] // 2
    pixels[:, middle:] = pixels[::-1, ::-1][:, middle:]
    return Image.fromarray(pixels)


def _wall() -> Image.Image:  # 190 x 70 mm
    art = Artwork(WALL, 190, RED)
    for i in range(-1, 10):
        x = i * 24.0
        art.polygon([(x, 70), (x + 12, 70), (x + 26, 56), (x + 14, 56)], YELLOW)
    art.rectangle(0, 54.5, 190, 56, BLACK)
    art.rectangle(52, 16, 138, 46, WHITE, radius=4)
    art.text(84, 31, "ORBI", 22, BLACK)
    art.ellipse(124, 31, 10, 10, (30, 90, 170))
    art.text(124, 31, "7", 14, WHITE)
    return art.finished()


def _end() -> Image.Image:  # 100 x 70 mm
    art = Artwork(END, 100, RED)
    art.rectangle(0, 54.5, 100, 70, BLACK)
    art.polygon([(24, 12), (78, 28), (24, 46)], YELLOW)
    art.ellipse(38, 29, 6, 6, RED)
    return art.finished()


def _lid_top() -> Image.Image:  # 196 x 106 mm
    art = Artwork(LID_TOP, 196, DARK_RED)
    art.rectangle(10, 10, 186, 96, RED, radius=8)
    art.polygon([(18, 18), (66, 18), (18, 62)], YELLOW)
    art.text(62, 78, "TOOLS", 17, WHITE)
    return art.finished()


def _bottom() -> Image.Image:  # 190 x 104 mm
    art = Artwork(BOTTOM, 190, GREY)
    art.rectangle(12, 12, 178, 92, (66, 68, 72), radius=6)
    art.ellipse(24, 24, 9, 9, BLACK)
    art.ellipse(24, 80, 9, 9, BLACK)
    art.polygon([(60, 30), (96, 52), (60, 52)], STEEL)
    return art.finished()
