"""What a run tells: log lines, figures as JSON lines, curves."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from mrc_core.training.curves import Curves
from mrc_core.training.state import RunState


class RunRecords:
    """Writes train.jsonl, validation.jsonl and tensorboard/ into the run's folder, and tells the log.

    A resumed run takes back what was written beyond its checkpoint, so that every step stands there once.

    Args:
        folder: the run's.
        state: of the run; read, and its sums are taken.
        steps: that the run is to have.
        log: prints one line.
    """

    def __init__(self, folder: Path, state: RunState, steps: int, log: Callable[[str], None]) -> None:
        self.folder, self.state, self.steps, self.log = folder, state, steps, log
        for name in ("train.jsonl", "validation.jsonl"):
            _drop_beyond(folder / name, state.step)
        self.curves = Curves(folder / "tensorboard", state.step, log)
        self._since = (time.monotonic(), state.step, state.samples_seen, 0.0)

    def progress(self, learning_rate: float, waited_s: float) -> None:
        """The means since the last call.

        Args:
            learning_rate: of the last step.
            waited_s: seconds that steps have waited for their batches since the run started here.
        """
        state = self.state
        now = (time.monotonic(), state.step, state.samples_seen, waited_s)
        seconds, steps, samples, waited = (a - b for a, b in zip(now, self._since))
        self._since = now
        means = state.take_means()
        norm = means.pop("gradient_norm", math.nan)
        speed = {"samples_per_second": samples / seconds, "wait_share": waited / seconds}
        row = {"step": state.step, "samples_seen": state.samples_seen, "loss": means, "gradient_norm": norm}
        self._append("train.jsonl", {**row, "learning_rate": learning_rate, **speed, "skipped": state.skipped_steps})
        self.curves.scalars({f"loss/{name}": value for name, value in means.items()}, state.step)
        optimiser = {"learning_rate": learning_rate, "gradient_norm": norm, "skipped_steps": state.skipped_steps}
        self.curves.scalars({f"optimiser/{name}": value for name, value in optimiser.items()}, state.step)
        self.curves.scalars({f"speed/{name}": value for name, value in speed.items()}, state.step)
        parts = " ".join(f"{name} {value:.3f}" for name, value in means.items() if name != "total")
        self.log(
            f"step {state.step}/{self.steps}  loss {means.get('total', math.nan):.3f}  ({parts})  "
            f"{speed['samples_per_second']:.1f} samples/s, {100 * speed['wait_share']:.0f} % waiting for batches  "
            f"{_duration((self.steps - state.step) * seconds / steps)} left"
        )

    def validation(self, report: dict[str, Any], picture: Tensor | None) -> None:
        """A validation's report (see `validate`) and its picture (3, H, W), uint8."""
        self._append("validation.jsonl", report)
        step = report["step"]
        for stage in ("coarse", "refined"):
            part = report[stage]
            self.log(
                f"validation at {step}, {stage}: ADD(-S) < 0.1 d {100 * part['recall']:.1f} %, median "
                f"{part['angle_deg']:.1f} deg, {part['shift_mm']:.1f} mm, depth {part['depth_percent']:.1f} %, "
                f"over 90 deg {100 * part['flipped']:.1f} %"
            )
            self.curves.scalars({f"validation_{stage}/{name}": value for name, value in part.items()}, step)
        for name, part in report["objects"].items():
            self.log(
                f"    {name}: {100 * part['coarse']['recall']:.0f} % -> {100 * part['refined']['recall']:.0f} %, "
                f"{part['coarse']['angle_deg']:.1f} -> {part['refined']['angle_deg']:.1f} deg"
            )
            figures = {f"{stage}_{key}": v for stage in ("coarse", "refined") for key, v in part[stage].items()}
            self.curves.scalars({f"object_{name}/{key}": value for key, value in figures.items()}, step)
        if picture is not None:
            self.curves.picture("validation", picture, step)

    def pause(self, seconds: float) -> None:
        """Leaves so many seconds, that were not spent on training, out of the next speed."""
        begun, step, samples, waited = self._since
        self._since = (begun + seconds, step, samples, waited)

    def close(self) -> None:
        """Ends the curves."""
        self.curves.close()

    def _append(self, name: str, row: dict[str, Any]) -> None:
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(_without_nan(row)) + "\n")


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """None in the place of NaN, which JSON does not know."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _drop_beyond(path: Path, step: int) -> None:
    """Takes the lines of later steps, and one that was cut short, out of a file of JSON lines."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    temporary = path.with_suffix(".partial")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
