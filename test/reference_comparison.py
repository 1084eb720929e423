"""One small network with random weights, run by the authors' rules and by ours: all that it says, side by side."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from reference_layout import Sizes
from reference_twin import Twin, box_map, mask_box_map
from torch import Tensor

from mrc_core.model import MRCNet, MRCNetConfig
from mrc_core.model.adapters import REFERENCE_CONVENTIONS, reference_config
from mrc_core.model.pose_codec import CoarseClasses, PoseCodec
from mrc_core.model.two_stage import Crops, TwoStage

SIZES = Sizes(
    image=64, n_side=2, buckets=576, cells=8, depths=10, layers=(8, 8, 16, 24), pooled=16, up=(16, 8), features=8,
    pyramid=16, fused=(16, 24, 16), reduction=2, hidden=16, groups=4,
)  # fmt: skip
LIMITS_MM = (0.4, 3.0)
OBJECTS = [1, 0, 1]
# Of the crops, in the reference's pixels; ours count from half a pixel further.
K_REFERENCE = torch.tensor(
    [
        [[310.0, 0, 90], [0, 290, 20], [0, 0, 1]],
        [[200.0, 0, 32], [0, 205, 50], [0, 0, 1]],
        [[400.0, 0, -60], [0, 380, 10], [0, 0, 1]],
    ]
)
MASKS = (
    (9, 37, 20, 41),
    (0, 63, 5, 12),
    (30, 31, 2, 60),
)  # x0, x1, y0, y1 of renders: growth by 3.5 px and such


def our_config(**changes: Any) -> MRCNetConfig:
    s = SIZES
    sizes = {
        "crop_size": s.image, "stem_channels": s.layers[0], "layer_channels": s.layers,
        "bottleneck_channels": s.pooled, "decoder_lateral_channels": (s.pooled, s.layers[2], s.layers[1]),
        "decoder_channels": s.up, "feature_channels": s.features, "pyramid_channels": s.pyramid,
        "fusion_channels": s.fused, "n_side": s.n_side, "xy_cells": s.cells, "depth_bins": s.depths,
        "head_reduction": s.reduction, "head_hidden": s.hidden, "norm_groups": s.groups,
    }  # fmt: skip
    return reference_config(**{"num_objects": 2, "norm": "batch", **sizes, **changes})


def crops_bgr() -> Tensor:
    picture = torch.rand(3, 3, SIZES.image, SIZES.image, generator=torch.Generator().manual_seed(5))
    maps = torch.stack([box_map((0.2, 0.17, 0.8, 0.83), SIZES.image)] * 3)[:, None]
    return torch.cat([picture * torch.tensor([0.4, 1.0, 0.7])[:, None, None], maps], dim=1)


def fake_render(R: Tensor, t_mm: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Grey pictures that depend on every number of a pose, and masks: what a renderer gives."""
    axis = torch.arange(SIZES.image) / SIZES.image
    waves = torch.einsum("bij,kj->bki", R, torch.tensor([[9.0, 5, 3], [4, 8, 6]])).sum(dim=2)
    phase = waves[:, 0, None, None] * axis + waves[:, 1, None, None] * axis[:, None]
    phase = phase + t_mm.sum(dim=1)[:, None, None] / 200
    mask = torch.zeros(len(R), SIZES.image, SIZES.image, dtype=torch.bool)
    for row, (x0, x1, y0, y1) in zip(mask, MASKS[rows]):
        row[y0 : y1 + 1, x0 : x1 + 1] = True
    return ((0.5 + 0.5 * phase.sin()) * mask)[:, None].expand(-1, 3, -1, -1), mask


def reference_outputs(state: dict[str, Tensor], rows: slice = slice(None)) -> dict[str, Tensor]:
    def render(R: Tensor, t_mm: Tensor) -> Tensor:
        rgb, mask = fake_render(R, t_mm, rows)
        return torch.cat([rgb, torch.stack([mask_box_map(row) for row in mask])[:, None]], dim=1)

    K = K_REFERENCE[rows]
    middle = (SIZES.image / 2 - K[:, :2, 2]) / torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=1)
    fov = torch.cat([middle, SIZES.image / K[:, :1, 0]], dim=1)
    return Twin(SIZES, state, LIMITS_MM)(crops_bgr()[rows], OBJECTS[rows], K, fov, render)


def our_outputs(
    weights: dict[str, Tensor], config: MRCNetConfig | None = None, rows: slice = slice(None), **changes: Any
) -> dict[str, Tensor]:
    """The same, through our network, codec and conventions; in mm."""
    config = our_config() if config is None else config
    conventions = REFERENCE_CONVENTIONS.model_copy(update=changes)
    network = MRCNet(config).eval()
    network.load_state_dict(weights)
    limits = torch.tensor([LIMITS_MM] * 2) / 1000
    codec = PoseCodec(
        config.n_side, config.xy_cells, config.depth_bins, limits, config.crop_size, conventions
    )
    K = K_REFERENCE[rows].clone()
    K[:, :2, 2] -= 0.5
    index, image = torch.tensor(OBJECTS[rows]), crops_bgr()[rows][:, [2, 1, 0, 3]]

    def render(
        object_index: Tensor, cam_from_obj: Tensor, K: Tensor, size: tuple[int, int]
    ) -> SimpleNamespace:
        rgb, mask = fake_render(cam_from_obj[:, :3, :3], cam_from_obj[:, :3, 3] * 1000, rows)
        return SimpleNamespace(rgb=rgb, mask=mask)

    with torch.no_grad():
        out = TwoStage(network, codec, SimpleNamespace(render=render))(Crops(image, K, index))
        # What each class stands for, as the codec decodes it.
        of_cell = class_poses(codec, K, config.xy_cells**2, "cell")[..., :3, 3]
        of_bin = class_poses(codec, K, config.depth_bins, "depth")[..., 2, 3]
    uvw = torch.einsum("bij,bnj->bni", K_REFERENCE[rows], of_cell)
    return {
        "mask": out.real.mask_logit,
        "bucket logits": out.logits.rotation,
        "bucket rotations": class_poses(codec, K[:1], config.num_rotations, "rotation")[0, :, :3, :3],
        "cell logits": out.logits.xy,
        "cell pixels": uvw[..., :2] / uvw[..., 2:],
        "depth logits": out.logits.depth,
        "depths": of_bin * 1000,
        "coarse rotation": out.coarse[:, :3, :3],
        "coarse translation": out.coarse[:, :3, 3] * 1000,
        "rotation": out.pose[:, :3, :3],
        "translation": out.pose[:, :3, 3] * 1000,
    }


def class_poses(codec: PoseCodec, K: Tensor, count: int, varied: str) -> Tensor:
    """Coarse poses (B, count, 4, 4) of all classes of one kind, the others being 0."""
    classes = {key: torch.zeros(count, dtype=torch.int64) for key in ("rotation", "cell", "depth")}
    classes[varied] = torch.arange(count)
    objects = torch.zeros(count, dtype=torch.int64)
    return torch.stack(
        [codec.coarse_pose(CoarseClasses(**classes), k.expand(count, 3, 3), objects) for k in K]
    )


def difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, float]:
    """Largest absolute difference of each output; lengths relative to the distance."""
    assert ours.keys() == theirs.keys()
    out = {}
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        scale = {"depths": value.abs().max(), "cell pixels": SIZES.image}.get(name, 1.0)
        if "translation" in name:
            scale = value.norm(dim=1, keepdim=True)
        out[name] = float(((ours[name] - value) / scale).abs().max())
    return out
