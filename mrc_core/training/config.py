"""Configuration of a training run, read from YAML; unknown keys are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mrc_core.data.bop_source import BopSourceConfig
from mrc_core.data.scene_config import SceneConfig
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.conventions import OURS, Conventions
from mrc_core.training.sources import SyntheticSourceConfig

RenderLook = Literal["textured", "grey"]
RENDER_LOOKS: tuple[RenderLook, ...] = ("textured", "grey")

SourceConfig = Annotated[SyntheticSourceConfig | BopSourceConfig, Field(discriminator="kind")]


class LossWeights(BaseModel):
    """Weights of the loss terms; the defaults are the paper's, `surface` is this project's (0: off)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rotation_class: float = 0.5
    cell_class: float = 2.0
    depth_class: float = 2.0
    rotation: float = 1.0
    xy: float = 1.0
    z: float = 0.2
    mask: float = 10.0
    surface: float = 0.0


class TrainConfig(BaseModel):
    """A training run. Steps count optimiser steps, sizes count samples.

    One step sees batch_size x accumulate x processes samples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flavour: Literal["small", "paper"] = "small"
    model: dict[str, Any] = Field(default_factory=dict, description="changes to the flavour's MRCNetConfig")
    scenes: SceneConfig = SceneConfig()
    sources: tuple[SourceConfig, ...] = Field(
        default=(SyntheticSourceConfig(),), min_length=1, description="where samples come from, mixed by weight"
    )
    losses: LossWeights = LossWeights()

    steps: int = Field(default=20_000, gt=0)
    batch_size: int = Field(default=32, gt=0, description="samples that one process has in memory at a time")
    accumulate: int = Field(default=1, gt=0, description="batches of each process whose gradients make one step")
    prefetch_workers: int = Field(default=1, gt=0, le=64, description="threads of each process that make batches ahead")
    learning_rate: float = Field(default=1e-3, gt=0)
    final_learning_rate: float = Field(default=5e-6, ge=0)
    warmup_steps: int = Field(default=300, ge=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    clip_gradient: float = Field(default=5.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["fp32", "bf16"] = "bf16"
    seed: int = Field(default=0, ge=0)

    render_look: RenderLook = Field(
        default="textured",
        description="what stage 2 compares with: renders in the meshes' own colours, or in the reference's grey",
    )
    separate_stages: bool = Field(
        default=False,
        description="the paper's ablation: stage 2 starts from disturbed truth alone, whatever coarse_noise_start and "
        "_end say, and its loss does not reach stage 1's encoder; needs siamese: false under `model`",
    )
    rotation_label_scale: float = Field(default=0.03, gt=0, description="of the diameter; wider for a coarser grid")
    smooth_l1_beta: float = Field(default=1.0, gt=0, description="hundredths of the diameter")
    coarse_noise_start: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of stage-2 samples that start from a "
        "disturbed true pose instead of the network's own coarse pose, at step 0",
    )
    coarse_noise_end: float = Field(
        default=0.0, ge=0, le=1, description="the same share from `coarse_noise_steps` on"
    )
    coarse_noise_steps: int = Field(default=1, gt=0)
    coarse_noise_angle_deg: float = Field(default=15.0, description="standard deviation of each Euler angle")
    coarse_noise_shift: float = Field(default=0.05, description="standard deviation of x and y, of the diameter")
    coarse_noise_depth: float = Field(default=0.06, description="standard deviation of the depth, of the depth")

    object_weights: dict[str, float] = Field(
        default_factory=dict,
        description="how often a class is drawn, 1 where not named: more for hard objects",
    )
    distractors: int = Field(default=12, ge=0, description="unknown solids that may hide the objects")
    log_every: int = Field(default=50, gt=0)
    checkpoint_every: int = Field(default=250, gt=0)
    validate_every: int = Field(default=1000, gt=0)
    validation_samples: int = Field(default=256, gt=0)

    @model_validator(mode="after")
    def _separate_stages_share_no_weights(self) -> TrainConfig:
        if self.separate_stages and self.model.get("siamese", True):
            raise ValueError(
                "separate_stages: stages that share an encoder cannot be trained apart from each other: set siamese: "
                "false under model, or leave separate_stages out"
            )
        return self

    @property
    def conventions(self) -> Conventions:
        """Those that the run's network is trained under."""
        return conventions_of(self.render_look)

    def network_config(self, num_objects: int) -> MRCNetConfig:
        """The network's sizes for so many objects."""
        make = MRCNetConfig.paper if self.flavour == "paper" else MRCNetConfig.small
        return make(num_objects, **self.model)

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """Reads a YAML file.

        Raises:
            FileNotFoundError, ValueError: with what to change.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"no training configuration at {path}; start from config/train/small.yaml"
            )
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()) or {})
        except (ValidationError, yaml.YAMLError) as error:
            raise ValueError(f"{path}: {error}") from error


def conventions_of(look: RenderLook) -> Conventions:
    """Ours, with that look of renders."""
    return OURS if look == "textured" else OURS.model_copy(update={"render": "grey"})
