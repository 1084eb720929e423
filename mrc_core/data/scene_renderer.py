"""What scenes need of a renderer; which one they get is not their affair."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from mrc_core.rendering.interface import Lights, Materials


class SceneRenderer(Protocol):
    """A renderer of several objects in one image; see `mrc_core.rendering.interface`."""

    device: torch.device

    def render_scenes(
        self,
        image_index: Tensor,
        object_index: Tensor,
        cam_from_obj: Tensor,
        K: Tensor,
        size: tuple[int, int],
        lights: Lights | None = None,
        materials: Materials | None = None,
    ) -> Any:
        """Returns rgb, depth_m, mask, coverage and instance, and first_light where materials are given."""
        ...
