"""The training loop: batches made on the fly, checkpoints, validation, and a bundle at the end."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch, SceneGenerator
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import codec_for, make_bundle
from mrc_core.model.network import MRCNet
from mrc_core.model.two_stage import CropRenderer, Crops, TwoStage, TwoStageOutput
from mrc_core.training.batches import prefetch
from mrc_core.training.checkpoint import (
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from mrc_core.training.coarse_noise import disturbed, noise_share
from mrc_core.training.config import TrainConfig
from mrc_core.training.objective import Objective
from mrc_core.training.schedule import warmup_cosine
from mrc_core.training.surface_coordinates import SurfaceHead
from mrc_core.training.validation import validate
from mrc_core.training.workers import Workers

VALIDATION_OFFSET = 10**9  # batch numbers that no training run reaches
NAN_STEPS_ALLOWED = 3


class Trainer:
    """Trains one network on a set of objects.

    Args:
        config: the run's settings.
        objects: what to learn.
        generator: makes the scenes.
        renderer: renders coarse poses for stage 2.
        depth_limits: tau_z limits by object (N, 2).
        output: folder for checkpoint, log and bundle.
        device: cpu or cuda.
        provenance: facts about this run that go into the bundle.
        log: prints one line.
        workers: the processes that train together; this one alone by default.
    """

    def __init__(
        self,
        config: TrainConfig,
        objects: Sequence[ObjectModel],
        generator: SceneGenerator,
        renderer: CropRenderer,
        depth_limits: Tensor,
        output: Path,
        device: torch.device,
        provenance: dict[str, Any],
        log: Callable[[str], None] = print,
        workers: Workers | None = None,
    ) -> None:
        self.config, self.objects, self.generator, self.log = config, list(objects), generator, log
        self.output, self.device, self.provenance = output, device, provenance
        self.workers = workers or Workers()
        output.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        self.network = MRCNet(config.network_config(len(objects))).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.network.config.feature_channels
        self.surface_head = SurfaceHead(features).to(device) if config.losses.surface else None
        self.codec = codec_for(self.network.config, depth_limits).to(device)
        autocast = torch.bfloat16 if config.precision == "bf16" else None
        self.two_stage = TwoStage(self.network, self.codec, renderer, autocast)
        self.objective = Objective(objects, self.codec, config, self.surface_head, device)
        self.object_weights = _object_weights(config, objects)
        self.diameter = torch.tensor([item.diameter for item in objects], device=device)
        self._trained = dict(self.network.named_parameters())
        if self.surface_head is not None:
            self._trained.update({f"surface_head.{k}": p for k, p in self.surface_head.named_parameters()})
        self.optimizer, self._names = self._make_optimizer()
        self.average = {name: p.detach().clone() for name, p in self.network.state_dict().items()}
        self.step, self.nan_steps, self.best = 0, 0, -1.0
        self.samples_seen = 0  # training samples so far, over all processes
        self.history: list[dict[str, Any]] = []  # settings, each with the step from which they hold
        self._stop = False

    def _make_optimizer(self) -> tuple[torch.optim.Optimizer, list[str]]:
        """AdamW without decay on norms and biases, and the parameters' names in the optimiser's order."""
        decayed = {k: p for k, p in self._trained.items() if p.ndim > 1}
        plain = {k: p for k, p in self._trained.items() if p.ndim <= 1}
        groups = [
            {"params": list(decayed.values()), "weight_decay": self.config.weight_decay},
            {"params": list(plain.values()), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate, betas=(0.9, 0.99), fused=True)
        return optimizer, [*decayed, *plain]

    # ---- the loop ----------------------------------------------------------------------------------------------------
    def train(self) -> dict[str, Any]:
        """Runs to the last step or to SIGINT or SIGTERM; leaves checkpoint and bundle; returns the last report."""
        config = self.config
        held_out = self._validation_batches() if self.workers.is_first else []
        batches = prefetch(self._make_batch, self.step, config.steps)
        self._note_settings()
        started, first = time.monotonic(), self.step
        sums: dict[str, float] = {}
        report: dict[str, Any] = {}
        stopped = False
        with self._interruptible():
            for batch in batches:
                terms = self.train_step(batch)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value / config.log_every
                if self.step % config.log_every == 0:
                    self._log_progress(sums, (time.monotonic() - started) / (self.step - first))
                    sums = {}
                if self.step % config.checkpoint_every == 0:
                    self.save()
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    report = self._validate(held_out)
                if self.workers.any(self._stop):
                    stopped = True
                    break
        batches.close()  # type: ignore[attr-defined]
        self.save()
        if stopped and self.step < config.steps:
            self.log(f"stopped at step {self.step}; `--resume` continues from here")
            report = self._validate(held_out)
        return report

    def train_step(self, batch: SceneBatch) -> dict[str, float]:
        """One optimiser step; a step whose loss or gradient is not finite changes nothing."""
        rate = warmup_cosine(
            self.step,
            self.config.steps,
            self.config.warmup_steps,
            self.config.learning_rate,
            self.config.final_learning_rate,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.objective(self._forward(batch), batch)
        terms["total"].backward()
        self.workers.average_gradients(self._trained.values())
        norm = torch.nn.utils.clip_grad_norm_(self._trained.values(), self.config.clip_gradient)
        self.step += 1
        self.samples_seen += self.config.batch_size * self.workers.count
        if not math.isfinite(float(norm)):
            self.nan_steps += 1
            self.log(f"step {self.step}: the gradient is not finite; the step is skipped")
            if self.nan_steps >= NAN_STEPS_ALLOWED:
                raise FloatingPointError(
                    f"{NAN_STEPS_ALLOWED} steps in a row without a finite gradient: lower learning_rate or use "
                    "precision fp32; the last checkpoint is intact"
                )
            return {}
        self.nan_steps = 0
        self.optimizer.step()
        self._update_average()
        return {name: float(value.detach()) for name, value in terms.items()}

    def _forward(self, batch: SceneBatch) -> TwoStageOutput:
        crops = Crops(batch.image, batch.K, batch.object_index)
        real = self.two_stage.encode(crops)
        logits = self.two_stage.classify(real, crops)
        with torch.no_grad():
            coarse = self.codec.coarse_pose(self.codec.most_likely(logits), crops.K, crops.object_index)
            rng = torch.Generator().manual_seed(
                (self.config.seed * 7919 + self.step) * self.workers.count + self.workers.rank
            )
            replaced = torch.rand(len(crops), generator=rng) < noise_share(self.step, self.config)
            near_truth = disturbed(batch.cam_from_obj, self.diameter[batch.object_index], self.config, rng)
            coarse = torch.where(replaced.to(self.device)[:, None, None], near_truth, coarse)
        return TwoStageOutput(real, logits, *self.two_stage.refine(crops, real, coarse))

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [state[name] for name in self.average], 1 - decay)

    def _make_batch(self, index: int) -> SceneBatch:
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # of this thread alone: the trainer's own threads keep the cores busy
        number = index * self.workers.count + self.workers.rank  # no two processes draw the same scenes
        return self.generator.batch(number, self.config.batch_size, self.object_weights).to(self.device)

    # ---- validation and files ----------------------------------------------------------------------------------------
    def _validation_batches(self) -> list[SceneBatch]:
        size = self.config.batch_size
        numbers = range(VALIDATION_OFFSET, VALIDATION_OFFSET + -(-self.config.validation_samples // size))
        return [self.generator.batch(number, size).to(self.device) for number in numbers]

    def _validate(self, batches: list[SceneBatch]) -> dict[str, Any]:
        """Accuracy of the averaged weights; writes it to the log and exports a bundle."""
        if not self.workers.is_first:
            return {}
        trained = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        report = validate(self.two_stage, self.objects, batches)
        self.network.load_state_dict(trained)
        self.network.train()
        report = {"step": self.step, "samples_seen": self.samples_seen, **report}
        with open(self.output / "validation.jsonl", "a") as file:
            file.write(json.dumps(report) + "\n")
        for stage in ("coarse", "refined"):
            part = report[stage]
            self.log(
                f"validation at {self.step}, {stage}: ADD(-S) < 0.1 d {100 * part['recall']:.1f} %, median "
                f"{part['angle_deg']:.1f} deg, {part['shift_mm']:.1f} mm, depth {part['depth_percent']:.1f} %"
            )
        for name, part in report["objects"].items():
            self.log(
                f"    {name}: {100 * part['coarse']['recall']:.0f} % -> {100 * part['refined']['recall']:.0f} %, "
                f"{part['coarse']['angle_deg']:.1f} -> {part['refined']['angle_deg']:.1f} deg"
            )
        self.export(self.output / "bundle", report)
        if report["refined"]["recall"] > self.best:
            self.best = report["refined"]["recall"]
            self.export(self.output / "best_bundle", report)
        return report

    def export(self, path: Path, report: dict[str, Any]) -> None:
        """Writes a bundle of the averaged weights."""
        provenance = {
            **self.provenance,
            "step": self.step,
            "samples_seen": self.samples_seen,
            "history": self.history,
            "validation": report,
        }
        make_bundle(self.objects, self.network, self.codec.depth_limits, self.average, provenance).save(path)

    def _note_settings(self) -> None:
        """Keeps what a resumed run changed, so that a bundle tells how it was really trained."""
        settings = {"processes": self.workers.count, "config": self.config.model_dump(mode="json")}
        before = {key: self.history[-1][key] for key in settings} if self.history else None
        if settings != before:
            if before is not None:
                self.log(f"the settings differ from those before step {self.step}; the bundle will list both")
            self.history.append({"from_step": self.step, **settings})

    def save(self) -> None:
        """Writes the checkpoint: weights, averages, optimiser, step."""
        if not self.workers.is_first:
            return
        groups = {
            "trained": {name: p.data for name, p in self._trained.items()},
            "average": self.average,
            "optimizer": optimizer_tensors(self.optimizer, self._names),
            "limits": {"tau_z": self.codec.depth_limits},
        }
        state = {
            "step": self.step,
            "samples_seen": self.samples_seen,
            "best": self.best,
            "classes": [item.class_id for item in self.objects],
            "history": self.history,
        }
        save_checkpoint(self.output / "checkpoint.safetensors", groups, state)

    def resume(self) -> None:
        """Continues from the output folder's checkpoint.

        Raises:
            ValueError: it belongs to other objects or another network.
        """
        groups, state = load_checkpoint(self.output / "checkpoint.safetensors", str(self.device))
        names = [item.class_id for item in self.objects]
        if state["classes"] != names:
            raise ValueError(
                f"the checkpoint is of {state['classes']}, not of {names}: choose another --output"
            )
        saved = groups["trained"]
        differs = [k for k, p in self._trained.items() if k not in saved or saved[k].shape != p.shape]
        if differs:
            raise ValueError(
                f"the checkpoint has another network ({differs[0]} differs): choose another --output"
            )
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(saved[name])
            for name, value in self.average.items():
                value.copy_(groups["average"][name])
            self.codec.depth_limits.copy_(groups["limits"]["tau_z"])
        restore_optimizer(self.optimizer, self._names, groups.get("optimizer", {}))
        self.step, self.best, self.samples_seen = state["step"], state["best"], state["samples_seen"]
        self.history = state["history"]
        self.log(f"resumed at step {self.step}")

    def _log_progress(self, sums: dict[str, float], seconds: float) -> None:
        left = (self.config.steps - self.step) * seconds
        parts = " ".join(f"{name} {value:.3f}" for name, value in sums.items() if name != "total")
        self.log(
            f"step {self.step}/{self.config.steps}  loss {sums.get('total', math.nan):.3f}  ({parts})  "
            f"{self.config.batch_size * self.workers.count / seconds:.1f} samples/s  {_duration(left)} left"
        )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM ends training after the current step, with a checkpoint."""

        def stop(*_: object) -> None:
            self._stop = True

        try:
            before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever runs us handles signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _object_weights(config: TrainConfig, objects: Sequence[ObjectModel]) -> Tensor:
    """Weights (N,) by object_index; a name that is no object's is an error, not a silent default."""
    names = [item.class_id for item in objects]
    unknown = set(config.object_weights) - set(names)
    if unknown or min(config.object_weights.values(), default=1.0) <= 0:
        raise ValueError(f"object_weights needs positive weights of {names}; got {config.object_weights}")
    return torch.tensor([config.object_weights.get(name, 1.0) for name in names])


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
