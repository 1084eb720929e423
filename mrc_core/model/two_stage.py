"""The forward pass as in the paper's figure: classify, render, correlate, regress."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mrc_core.geometry.cameras import box_map, look_direction, mask_boxes, rounded_box_map
from mrc_core.model.heads import PoseLogits, PoseResidual
from mrc_core.model.network import MRCNet
from mrc_core.model.pose_codec import PoseCodec
from mrc_core.model.pyramid import Pyramid


class CropRenderer(Protocol):
    """What the network needs of a renderer: one object an image, at its own pose and intrinsics."""

    def render(self, object_index: Tensor, cam_from_obj: Tensor, K: Tensor, size: tuple[int, int]) -> Any:
        """Returns `rgb` (B, 3, H, W) in 0..1 on black and `mask` (B, H, W)."""


@dataclass(frozen=True)
class Crops:
    """Square crops around detected objects.

    image: (B, 4, S, S), RGB in 0..1 and the map of the detection's box.
    K: (B, 3, 3), intrinsics of each crop.
    object_index: (B,), which object each crop shows.
    """

    image: Tensor
    K: Tensor
    object_index: Tensor

    def __len__(self) -> int:
        return len(self.object_index)

    def take(self, rows: Tensor) -> Crops:
        """Some rows (N,) of the batch."""
        return Crops(self.image[rows], self.K[rows], self.object_index[rows])


class Refinement(NamedTuple):
    """What stage 2 started from and said; poses (B, 4, 4) map the centred object into the camera's frame."""

    coarse: Tensor
    rendered_mask: Tensor  # (B, S, S) bool
    rendered: Pyramid
    residual: PoseResidual
    pose: Tensor

    def take(self, rows: Tensor) -> Refinement:
        """Some rows (N,) of the batch."""
        residual = PoseResidual(**{name: part[rows] for name, part in vars(self.residual).items()})
        mask, rendered = self.rendered_mask[rows], self.rendered.take(rows)
        return Refinement(self.coarse[rows], mask, rendered, residual, self.pose[rows])


class TwoStageOutput(NamedTuple):
    """Everything that the two stages said: `coarse` is stage 1's, all below it of stage 2's last round."""

    real: Pyramid
    logits: PoseLogits
    coarse: Tensor
    rendered_mask: Tensor
    rendered: Pyramid
    residual: PoseResidual
    pose: Tensor


class TwoStage:
    """Network, codec and renderer as one function from crops to poses.

    Args:
        network: the trained (or training) network.
        codec: its pose codec.
        renderer: renders the centred mesh of `object_index`.
        autocast: bf16 or fp16 for the network; pose arithmetic is always float32.
    """

    def __init__(
        self, network: MRCNet, codec: PoseCodec, renderer: CropRenderer, autocast: torch.dtype | None = None
    ) -> None:
        self.network, self.codec, self.renderer, self.autocast = network, codec, renderer, autocast

    def __call__(self, crops: Crops) -> TwoStageOutput:
        """Stage 1, then stage 2 from its most likely pose, as often as the network's `rounds` say."""
        real = self.encode(crops)
        logits = self.classify(real, crops)
        coarse = self.codec.coarse_pose(self.codec.most_likely(logits), crops.K, crops.object_index)
        refinement = self.refine_in_rounds(crops, real, coarse)
        return TwoStageOutput(real, logits, **{**refinement._asdict(), "coarse": coarse})

    def encode(self, crops: Crops) -> Pyramid:
        """Features of the real crops, which both stages read."""
        with self._precision(crops.image):
            return self.network.encode(crops.image, crops.object_index)

    def classify(self, real: Pyramid, crops: Crops) -> PoseLogits:
        """Stage 1: the scores of every pose class."""
        with self._precision(crops.image):
            logits = self.network.classify(real, look_direction(crops.K, self.codec.crop_size))
        return PoseLogits(logits.rotation.float(), logits.xy.float(), logits.depth.float())

    def refine_in_rounds(self, crops: Crops, real: Pyramid, coarse: Tensor) -> Refinement:
        """`refine` from coarse poses (B, 4, 4), then from its own results; returns the last round."""
        refinement = self.refine(crops, real, coarse)
        for _ in range(self.network.config.rounds - 1):
            refinement = self.refine(crops, real, refinement.pose)
        return refinement

    def refine(self, crops: Crops, real: Pyramid, coarse: Tensor) -> Refinement:
        """Stage 2: render the coarse poses (B, 4, 4), correlate, regress. No gradient reaches `coarse`."""
        coarse = coarse.detach()
        return self.compare(crops, real, coarse, *self.encode_rendered(coarse, crops))

    def encode_rendered(self, cam_from_obj: Tensor, crops: Crops) -> tuple[Pyramid, Tensor]:
        """Features and masks (B, S, S) of renders at the poses (B, 4, 4): the half of stage 2 that sees no picture."""
        image, mask = self.render(cam_from_obj, crops)
        with self._precision(crops.image):
            return self.network.encode_render(image, crops.object_index), mask

    def compare(
        self, crops: Crops, real: Pyramid, coarse: Tensor, rendered: Pyramid, mask: Tensor
    ) -> Refinement:
        """The other half: what `encode_rendered` gave for the coarse poses is correlated with the real features."""
        with self._precision(crops.image):
            residual = self.network.regress(real, rendered, self._stage_two_look(coarse, crops.K), mask)
        residual = PoseResidual(residual.rotation6d.float(), residual.xy.float(), residual.depth.float())
        pose = self.codec.refine(coarse, residual, crops.K, crops.object_index)
        return Refinement(coarse, mask, rendered, residual, pose)

    def render(self, cam_from_obj: Tensor, crops: Crops) -> tuple[Tensor, Tensor]:
        """Rendered crops (B, 4, S, S), RGB and the box map of the rendered pixels, and their masks (B, S, S)."""
        size = self.codec.crop_size
        with torch.no_grad():
            rendering = self.renderer.render(crops.object_index, cam_from_obj, crops.K, (size, size))
            boxes = self._box_map(rendering.mask)
        return torch.cat([rendering.rgb, boxes], dim=1), rendering.mask

    def _box_map(self, mask: Tensor) -> Tensor:
        """Box maps (B, 1, S, S) of the rendered pixels (B, S, S)."""
        conventions, size = self.codec.conventions, self.codec.crop_size
        draw = rounded_box_map if conventions.box_map == "rounded" else box_map
        # Rounded, the last pixel's centre serves as the box's far edge, as in the reference [R]: one pixel short.
        return draw(mask_boxes(mask), size, conventions.rendered_box_growth)

    def _stage_two_look(self, coarse: Tensor, K_crop: Tensor) -> Tensor:
        x, y, z = coarse[:, :3, 3].unbind(-1)
        third = look_direction(K_crop, self.codec.crop_size)[:, 2]
        return torch.stack([x / z, y / z, third], dim=-1)

    def _precision(self, like: Tensor) -> AbstractContextManager[Any]:
        return torch.autocast(like.device.type, self.autocast) if self.autocast else nullcontext()
