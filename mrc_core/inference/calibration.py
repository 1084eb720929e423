"""A bundle's calibration: plain numbers that turn the network's evidence into a probability and an error model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from mrc_core.inference.evidence import DETECTED, TRACKED
from mrc_core.inference.pose_covariance import SPREADS

Array = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CLIP = 3.0  # deviations from the mean beyond which evidence tells nothing that was fitted
SMALLEST_SPREAD, LARGEST_SPREAD = 1e-4, 3.0  # in the units of `Channel.spreads`

EVIDENCE = {"detected": DETECTED, "tracked": TRACKED, "tracked_in_rounds": TRACKED}
"""The channels of a calibration, and what each looks at."""


class LinearModel(BaseModel):
    """offset of the object + weights . standardised evidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights: tuple[Number, ...]
    offsets: tuple[Number, ...] = Field(min_length=1)  # by object, in the order of the bundle

    def __call__(self, evidence: Array, object_index: NDArray[np.int64]) -> Array:
        """Values (B,) of standardised evidence (B, E)."""
        values: Array = evidence @ np.asarray(self.weights) + np.asarray(self.offsets)[object_index]
        return values


class Channel(BaseModel):
    """What was fitted for one kind of pose.

    score: logit of the probability that the pose is right.
    spreads: logarithms of the standard deviations in SPREADS: along in parts of the distance, across in diameters, roll
        and tilt in radians.
    widening: by object, what the standard deviations are multiplied by so that the 90 % region holds 90 %.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    evidence: tuple[str, ...]
    mean: tuple[Number, ...]
    scale: tuple[Positive, ...]
    score: LinearModel
    spreads: dict[str, LinearModel]
    widening: tuple[Positive, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Channel:
        if tuple(self.spreads) != SPREADS:
            raise ValueError(f"spreads must be {', '.join(SPREADS)}, in this order")
        numbers = {len(self.mean), len(self.scale), *(len(m.weights) for m in self._models())}
        if numbers != {len(self.evidence)}:
            raise ValueError(f"mean, scale and weights must be as many as the evidence: {len(self.evidence)}")
        if {len(m.offsets) for m in self._models()} != {len(self.widening)}:
            raise ValueError("offsets and widening must be as many as the objects")
        return self

    def _models(self) -> list[LinearModel]:
        return [self.score, *self.spreads.values()]

    def standardised(self, evidence: Array) -> Array:
        """Evidence (B, E) in deviations from the mean, limited to what was seen in fitting."""
        values: Array = np.clip((evidence - np.asarray(self.mean)) / np.asarray(self.scale), -CLIP, CLIP)
        return values

    def probabilities(self, evidence: Array, object_index: NDArray[np.int64]) -> Array:
        """Probabilities (B,) that ADD(-S) is below a tenth of the diameter, of raw evidence (B, E)."""
        logits = self.score(self.standardised(evidence), object_index)
        shares: Array = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return shares

    def deviations(self, evidence: Array, object_index: NDArray[np.int64], units: Array) -> Array:
        """Standard deviations (B, 4) in the order of SPREADS, metres and radians.

        Args:
            units: (B, 4), see `spread_units`.
        """
        values = self.standardised(evidence)
        logs = np.stack([self.spreads[name](values, object_index) for name in SPREADS], axis=1)
        widened = np.exp(np.clip(logs, -30, 30)) * np.asarray(self.widening)[object_index, None]
        limited: Array = np.clip(widened, SMALLEST_SPREAD, LARGEST_SPREAD)
        return limited * units


def spread_units(distance_m: Array, diameter_m: Array) -> Array:
    """What the spreads (B, 4) count in: the distance (B,), the diameter (B,), radians, radians."""
    one = np.ones_like(distance_m)
    return np.stack([distance_m, diameter_m, one, one], axis=1)


class Calibration(BaseModel):
    """The section `calibration` of a bundle.yaml.

    detected: of poses that both stages estimated. tracked: of those that stage 2 alone refined once from a given pose.
    tracked_in_rounds: of those that it refined as often as `rounds` says; only where that is more than once, and not
        in bundles that were calibrated without it: there `tracked` stands for all.
    measured: figures on samples that were not fitted on, for readers alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    weights_sha256: str  # of the weights whose evidence was looked at
    rounds: int = 1  # of stage 2 for detected poses
    seed: int
    samples: int
    detected: Channel
    tracked: Channel
    tracked_in_rounds: Channel | None = None
    measured: dict[str, Any] = {}

    @model_validator(mode="after")
    def _evidence_is_known(self) -> Calibration:
        for name, channel in self.channels.items():
            if channel.evidence != EVIDENCE[name]:
                raise ValueError(f"{name}: this program knows the evidence {', '.join(EVIDENCE[name])}")
        return self

    @model_validator(mode="after")
    def _rounds_are_several(self) -> Calibration:
        if self.tracked_in_rounds is not None and self.rounds < 2:
            raise ValueError("tracked_in_rounds: stage 2 runs once, and `tracked` is of that")
        return self

    @model_serializer(mode="wrap")
    def _as_ever_without_rounds(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Programs from before `tracked_in_rounds` read what needs none."""
        content: dict[str, Any] = handler(self)
        if self.tracked_in_rounds is None:
            del content["tracked_in_rounds"]
        return content

    @property
    def channels(self) -> dict[str, Channel]:
        """Those that there are, by name."""
        named = {name: getattr(self, name) for name in EVIDENCE}
        return {name: channel for name, channel in named.items() if channel is not None}

    def tracked_after(self, rounds: int) -> Channel:
        """The channel of poses that stage 2 alone refined so many times."""
        if rounds > 1 and self.tracked_in_rounds is not None:
            return self.tracked_in_rounds
        return self.tracked

    def problem(self, class_ids: Sequence[str], weights_sha256: str, rounds: int) -> str | None:
        """Why this calibration does not belong to a bundle, and what to do; None where it does."""
        if self.weights_sha256 != weights_sha256:
            return "the calibration was fitted for other weights: run `mrc-net calibrate` for this bundle"
        if self.rounds != rounds:
            return f"the calibration is not of {rounds} rounds of stage 2: run `mrc-net calibrate` for this bundle"
        if {len(channel.widening) for channel in self.channels.values()} != {len(class_ids)}:
            return f"the calibration is not of {len(class_ids)} objects: run `mrc-net calibrate` for this bundle"
        return None
