"""`flask`: an insulated bottle, a solid of revolution in coloured bands (continuous symmetry about z)."""

from __future__ import annotations

import numpy as np
import trimesh

from .surface import Color, lathe, to_trimesh

SEGMENTS = 72
NAVY: Color = (28, 44, 92)
MINT: Color = (96, 196, 168)
CREAM: Color = (240, 232, 212)
CORAL: Color = (232, 92, 66)
STEEL: Color = (168, 172, 178)
BLACK: Color = (38, 38, 42)


def build() -> trimesh.Trimesh:
    """The flask, 0.24 m high and 0.08 m wide; top (black cap) and bottom (navy foot) differ in shape and colour."""
    profile: list[tuple[float, float, Color]] = [(0.0, 0.0, NAVY), (0.034, 0.0, NAVY)]
    profile += [
        (0.034 + 0.006 * np.sin(t), 0.006 * (1 - np.cos(t)), NAVY) for t in np.linspace(0, np.pi / 2, 4)[1:]
    ]
    profile += [(0.040, 0.044, NAVY), (0.040, 0.052, CREAM), (0.040, 0.078, MINT), (0.040, 0.104, MINT)]
    profile += [(0.040, 0.112, CORAL), (0.040, 0.130, CREAM), (0.040, 0.138, CORAL), (0.040, 0.152, MINT)]
    shoulder = np.linspace(0, np.pi, 9)[1:]
    profile += [(0.0325 + 0.0075 * np.cos(t), 0.152 + 0.030 * t / np.pi, MINT) for t in shoulder]
    profile += [(0.025, 0.190, STEEL), (0.028, 0.190, BLACK), (0.029, 0.193, BLACK), (0.029, 0.232, BLACK)]
    profile += [
        (0.021 + 0.008 * np.cos(t), 0.232 + 0.008 * np.sin(t), BLACK)
        for t in np.linspace(0, np.pi / 2, 4)[1:]
    ]
    profile += [(0.0, 0.240, BLACK)]
    return to_trimesh(lathe(profile, SEGMENTS), "flask", None, 0.4)
