"""How far a run is: all that is not a tensor, as it stands in a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mrc_core.training.learner import StepResult

NAN_STEPS_ALLOWED = 3


@dataclass
class RunState:
    """Counts and sums of a run; JSON-able.

    Attributes:
        step: optimiser steps so far, skipped ones included.
        samples_seen: training samples so far, over all processes.
        nan_steps: skipped steps in a row, up to now.
        skipped_steps: skipped steps of the whole run.
        best: the best recall of a validation so far, -1 before the first.
        sums: of every loss term and of the gradient's norm since the last report, over `summed` steps. They are part of
            the checkpoint, so that the figures of an interrupted run are those of one that ran through.
        history: settings, each with the step from which they hold.
        init: what the run started from, None where from random weights.
    """

    step: int = 0
    samples_seen: int = 0
    nan_steps: int = 0
    skipped_steps: int = 0
    best: float = -1.0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    init: dict[str, Any] | None = None

    def count(self, result: StepResult, samples: int) -> None:
        """Takes a step's result in.

        Raises:
            FloatingPointError: this was one skipped step in a row too many.
        """
        self.step += 1
        self.samples_seen += samples
        if not result.is_finite:
            self.nan_steps += 1
            self.skipped_steps += 1
            if self.nan_steps >= NAN_STEPS_ALLOWED:
                raise FloatingPointError(
                    f"{NAN_STEPS_ALLOWED} steps in a row, up to step {self.step}, without a finite gradient: lower "
                    "learning_rate or use precision fp32; the last checkpoint is intact"
                )
            return
        self.nan_steps = 0
        self.summed += 1
        for name, value in {**result.terms, "gradient_norm": result.gradient_norm}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take_means(self) -> dict[str, float]:
        """Means of what was summed since the last call; empty where every step was skipped."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return means

    def note_settings(self, settings: dict[str, Any]) -> bool:
        """Keeps settings that differ from the last ones in the history; returns whether a resumed run changed them."""
        last = self.history[-1] if self.history else None
        if last is not None and settings == {key: last.get(key) for key in settings}:
            return False
        self.history.append({"from_step": self.step, **settings})
        return last is not None

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunState:
        """The inverse of `to_json`; what an older checkpoint lacks starts anew."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
