"""The variants of an ablation: what each of them changes, and which trainings they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mrc_core.training.config import TrainConfig

BASE = "siamese"

# config/train/ablation.yaml: an installed package has no config/. A test holds the two together.
ABLATION: dict[str, Any] = {
    "flavour": "small",
    "model": {
        "crop_size": 64,
        "stem_channels": 16,
        "layer_channels": [16, 32, 32, 64],
        "bottleneck_channels": 64,
        "aspp_dilations": [1, 2],
        "aspp_branch_channels": 32,
        "decoder_lateral_channels": [48, 32, 16],
        "decoder_channels": [48, 32],
        "feature_channels": 32,
        "pyramid_channels": 64,
        "correlation_radius": 3,
        "fusion_channels": [48, 64, 64],
        "xy_cells": 16,
        "depth_bins": 32,
        "head_reduction": 4,
        "head_hidden": 128,
        "norm_group_channels": 16,
    },
    "batch_size": 32,
    "steps": 3000,
    "learning_rate": 1.5e-3,
    "warmup_steps": 100,
    "ema_decay": 0.995,
    "precision": "bf16",
    "rotation_label_scale": 0.06,
    "coarse_noise_start": 1.0,
    "coarse_noise_end": 0.25,
    "coarse_noise_steps": 1500,
    "checkpoint_every": 200,
    "validate_every": 1000,
    "losses": {
        "rotation_class": 1.5,
        "cell_class": 1.0,
        "depth_class": 2.0,
        "rotation": 1.0,
        "xy": 0.5,
        "z": 1.0,
        "mask": 4.0,
        "surface": 8.0,
    },
}


@dataclass(frozen=True)
class Variant:
    """A variant of the base.

    Attributes:
        what: in words, for tables.
        model: what it changes in the network's sizes.
        settings: what it changes in training.
        turns: in-plane turns at test time.
    """

    name: str
    what: str
    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    turns: int = 1


VARIANTS = {
    one.name: one
    for one in (
        Variant(BASE, "the base: both branches share their weights, both stages train together"),
        Variant("non_siamese", "renders have weights of their own", {"siamese": False}),
        Variant(
            "non_siamese_separate",
            "the same, and stage 2 trains apart from stage 1, from noisy ground truth",
            {"siamese": False},
            {"separate_stages": True},
        ),
        Variant("rotations_576", "576 rotation buckets", {"n_side": 2}),
        Variant("rotations_1944", "1944 rotation buckets", {"n_side": 3}),
        Variant("rotations_4608", "4608 rotation buckets", {"n_side": 4}),
        Variant("batch_norm", "batch statistics in the encoder, as the paper has them", {"norm": "batch"}),
        Variant("grey_render", "stage 2 sees grey renders", settings={"render_look": "grey"}),
        Variant("four_turns", "the base's weights; each box in four in-plane turns, the surest counts", turns=4),
    )
}


@dataclass(frozen=True)
class Planned:
    """A variant with its settings (of seed 0) and the variant whose training it shares: its own name, mostly."""

    variant: Variant
    settings: TrainConfig
    run: str


def plan(names: Sequence[str], base: TrainConfig) -> list[Planned]:
    """The base and the named variants; those with the same settings share one training.

    Raises:
        ValueError: an unknown or repeated name, or a base that is not Siamese.
    """
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or len(set(names)) < len(names):
        raise ValueError(
            f"--variants {','.join(names)}: {', '.join(unknown) or 'a name'} "
            f"{'is not among' if unknown else 'stands there twice; choose from'} {', '.join(VARIANTS)}"
        )
    if not base.network_config(1).siamese:
        raise ValueError("--config: the base of an ablation is Siamese: leave siamese: false out, a variant has it")
    out: list[Planned] = []
    for name in (BASE, *(name for name in VARIANTS if name in names and name != BASE)):
        settings = settings_of(VARIANTS[name], base)
        same = next((one.run for one in out if _alike(one.settings, settings)), name)
        out.append(Planned(VARIANTS[name], settings, same))
    return out


def settings_of(variant: Variant, base: TrainConfig, seed: int = 0) -> TrainConfig:
    """Settings of a variant's training; `seed` counts from the base's.

    Labels of a finer rotation grid are narrower as its buckets are nearer to each other: 0.06 diameters for 576, 0.04
    for 1944, 0.03, the paper's, for 4608.
    """
    model = {**base.model, **variant.model}
    changed = base.model_dump(mode="json") | {"model": model, "seed": base.seed + seed, **variant.settings}
    finer = TrainConfig.model_validate(changed).network_config(1).n_side / base.network_config(1).n_side
    return TrainConfig.model_validate(changed | {"rotation_label_scale": round(base.rotation_label_scale / finer, 6)})


def with_steps(base: TrainConfig, steps: int) -> TrainConfig:
    """The same schedule over another number of steps: what counts in steps is stretched with it."""
    share = steps / base.steps
    return base.model_copy(
        update={
            "steps": steps,
            "warmup_steps": min(base.warmup_steps, steps // 10),
            "coarse_noise_steps": max(1, round(base.coarse_noise_steps * share)),
            "checkpoint_every": min(base.checkpoint_every, steps),
            "validate_every": max(1, round(base.validate_every * share)),
            "log_every": min(base.log_every, steps),
        }
    )


def published_row(variant: Variant, settings: TrainConfig) -> str | None:
    """The row of the paper's table on T-LESS that a variant is held against, None where it has none."""
    if variant.name == "non_siamese":
        return "MRC-Net (non-Siamese, end to end)"
    if variant.name == "non_siamese_separate":
        return "MRC-Net (non-Siamese, trained separately)"
    if variant.name == BASE or "n_side" in variant.model:
        return f"MRC-Net (Siamese, K = {settings.network_config(1).num_rotations})"
    return None


def _alike(one: TrainConfig, other: TrainConfig) -> bool:
    """Whether two trainings would be the same, however their settings are written."""
    parts = [item.model_dump(mode="json", exclude={"model"}) for item in (one, other)]
    return parts[0] == parts[1] and one.network_config(1) == other.network_config(1)
