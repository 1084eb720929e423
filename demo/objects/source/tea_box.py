"""`tea_box`: a printed carton whose six sides all differ, so that it has no symmetry."""

from __future__ import annotations

import math

import trimesh
from PIL import Image

from .artwork import Artwork, atlas
from .surface import AtlasRegion, Color, RoundedBox, to_trimesh

SIZE_M = (0.13, 0.08, 0.20)
ATLAS_PX = 512
# About 1.37 pixels per millimetre.
REGIONS = {
    "front": AtlasRegion(4, 4, 178, 274),
    "back": AtlasRegion(190, 4, 178, 274),
    "left": AtlasRegion(376, 4, 110, 274),
    "right": AtlasRegion(4, 286, 274, 110, turned=True),
    "top": AtlasRegion(286, 286, 178, 110),
    "bottom": AtlasRegion(4, 398 + 1, 178, 109),
}
TEAL: Color = (12, 98, 104)
CREAM: Color = (246, 236, 208)
ORANGE: Color = (240, 132, 32)
RED: Color = (196, 32, 44)
YELLOW: Color = (246, 200, 36)
BLUE: Color = (30, 66, 168)
WHITE: Color = (250, 250, 248)
INK: Color = (30, 28, 34)
KRAFT: Color = (172, 132, 92)
LEAF: Color = (70, 150, 52)
DARK_LEAF: Color = (34, 96, 40)


def build() -> trimesh.Trimesh:
    """The tea box, 0.13 x 0.08 x 0.20 m, standing; its front looks along -y."""
    painters = {
        "front": _front,
        "back": _back,
        "left": _left,
        "right": _right,
        "top": _top,
        "bottom": _bottom,
    }
    pictures: list[tuple[AtlasRegion, Image.Image]] = [(REGIONS[k], painters[k](REGIONS[k])) for k in REGIONS]
    surface = RoundedBox(SIZE_M, radius=0.0022, cells=10).textured(REGIONS, ATLAS_PX)
    return to_trimesh(surface, "tea_box", atlas(pictures, ATLAS_PX), 0.5)


def _front(region: AtlasRegion) -> Image.Image:  # 130 x 200 mm: sun over mountains
    art = Artwork(region, 130, TEAL)
    art.ellipse(86, 84, 32, 32, ORANGE)
    art.ellipse(86, 84, 24, 24, YELLOW)
    art.polygon([(0, 150), (0, 118), (34, 74), (62, 112), (82, 150)], (22, 54, 84))
    art.polygon([(34, 74), (23, 88), (31, 94), (37, 88), (45, 91)], WHITE)
    art.polygon([(40, 150), (92, 104), (130, 138), (130, 150)], DARK_LEAF)
    art.rectangle(0, 146, 130, 200, CREAM)
    art.rectangle(0, 146, 130, 150, RED)
    art.text(65, 24, "LUMO", 40, CREAM)
    art.text(48, 174, "TEA", 40, RED)
    art.ellipse(110, 175, 14, 14, LEAF)
    art.text(110, 175, "50", 17, WHITE)
    return art.finished()


def _back(region: AtlasRegion) -> Image.Image:  # 130 x 200 mm: table, barcode and small print
    art = Artwork(region, 130, CREAM)
    art.rectangle(0, 0, 130, 34, RED)
    art.text(65, 17, "HOW TO BREW", 15, WHITE)
    for i, color in enumerate((BLUE, ORANGE, LEAF)):
        x = 26 + 39 * i
        art.ellipse(x, 58, 15, 15, color)
        art.text(x, 58, str(i + 1), 22, WHITE)
    art.paragraph(10, 82, 110, 6, INK, seed=1)
    art.rectangle(8, 110, 70, 192, WHITE)
    for row in range(9):
        art.rectangle(8, 110 + row * 9.1, 70, 111.4 + row * 9.1, INK)
        if row:
            art.paragraph(11, 114.5 + row * 9.1, 34, 1, INK, seed=10 + row, pitch=6)
            art.rectangle(56, 114.5 + row * 9.1, 67, 117.5 + row * 9.1, INK)
    art.rectangle(8, 110, 70, 119, INK)
    art.barcode(80, 152, 42, 34, seed=7)
    art.polygon([(101, 112), (119, 142), (83, 142)], LEAF)
    return art.finished()


def _left(region: AtlasRegion) -> Image.Image:  # 80 x 200 mm: a big leaf on red
    art = Artwork(region, 80, RED)
    outline = []
    for step in range(41):
        along = step / 40
        outline.append((40 - 30 * math.sin(math.pi * along) ** 0.8, 20 + 104 * along))
    outline += [(80 - x + 6 * math.sin(math.pi * (y - 20) / 104), y) for x, y in reversed(outline)]
    art.polygon(outline, WHITE)
    art.line([(40, 22), (42, 70), (38, 142)], 4, RED)
    for y in (52, 74, 96):
        art.line([(41, y + 10), (60, y - 6)], 3, RED)
        art.line([(41, y + 16), (21, y + 2)], 3, RED)
    art.rectangle(0, 154, 80, 200, INK)
    art.text(40, 177, "PURE", 24, YELLOW)
    return art.finished()


def _right(region: AtlasRegion) -> Image.Image:  # 80 x 200 mm: blue stripes and turned writing on yellow
    art = Artwork(region, 80, YELLOW)
    for i in range(5):
        y = 110 + 26 * i
        art.polygon([(0, y + 44), (80, y), (80, y + 13), (0, y + 57)], BLUE)
    art.rectangle(0, 0, 80, 12, BLUE)
    art.text(26, 66, "MINT", 34, INK, turned=True)
    art.text(60, 70, "lemon", 22, RED, turned=True)
    return art.finished()


def _top(region: AtlasRegion) -> Image.Image:  # 130 x 80 mm: an arrow to open
    art = Artwork(region, 130, BLUE)
    art.polygon([(10, 40), (46, 10), (46, 28), (78, 28), (78, 52), (46, 52), (46, 70)], WHITE)
    art.ellipse(104, 40, 18, 18, ORANGE)
    art.rectangle(0, 74, 130, 80, YELLOW)
    art.text(60, 40, "OPEN", 13, BLUE)
    return art.finished()


def _bottom(region: AtlasRegion) -> Image.Image:  # 130 x 80 mm: bare kraft board with a stamp
    art = Artwork(region, 130, KRAFT)
    art.polygon([(0, 0), (65, 34), (130, 0), (130, 4), (65, 39), (0, 4)], (120, 86, 54))
    art.ellipse(28, 54, 17, 17, INK)
    art.ellipse(28, 54, 12, 12, KRAFT)
    art.text(86, 60, "B 0417", 15, INK)
    return art.finished()
