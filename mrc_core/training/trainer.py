"""The training loop: steps, reports, validation and checkpoints, in an order that survives an interruption anywhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.objects import ObjectModel
from mrc_core.training.batches import TimedBatches, prefetch
from mrc_core.training.checkpoint import load_checkpoint, save_checkpoint
from mrc_core.training.config import TrainConfig
from mrc_core.training.learner import Learner, StepResult
from mrc_core.training.records import RunRecords
from mrc_core.training.sources import SampleSource
from mrc_core.training.state import RunState
from mrc_core.training.validator import Validator, exported_step
from mrc_core.training.workers import Workers

CHECKPOINT = "checkpoint.safetensors"


class Trainer:
    """Trains one network on a set of objects.

    Args:
        config: the run's settings.
        objects: what is learnt.
        learner: the network and what changes it.
        source: makes training samples.
        validator: measures accuracy and writes bundles; only the first process uses it.
        output: folder for everything that the run writes; only the first process uses it.
        log: prints one line.
        workers: the processes that train together.
    """

    def __init__(
        self,
        config: TrainConfig,
        objects: Sequence[ObjectModel],
        learner: Learner,
        source: SampleSource,
        validator: Validator,
        output: Path,
        log: Callable[[str], None],
        workers: Workers,
    ) -> None:
        self.config, self.objects, self.learner, self.source = config, list(objects), learner, source
        self.validator, self.output, self.log, self.workers = validator, output, log, workers
        self.state = RunState()
        self.object_weights = _object_weights(config, objects)
        self._stop = False
        if workers.is_first:
            output.mkdir(parents=True, exist_ok=True)

    def train(self, deadline: float | None = None) -> dict[str, Any]:
        """Runs to the last step, to the deadline, or to SIGINT or SIGTERM; leaves checkpoint and bundle.

        Args:
            deadline: on the clock of `time.monotonic`; training ends after the step in which it passes.

        Returns:
            The last validation's report; empty in all processes but the first.

        Raises:
            FloatingPointError: three steps in a row had no finite gradient.
        """
        self._agree()
        config, state = self.config, self.state
        if state.step >= config.steps:
            self.log(f"the run has its {config.steps} steps already: pass a larger --steps to go on")
            return self._missing_validation()
        records = RunRecords(self.output, state, config.steps, self.log) if self.workers.is_first else None
        batches = TimedBatches(prefetch(self._make_batch, *self._batch_numbers(), config.prefetch_workers))
        report: dict[str, Any] = {}
        ends = False
        try:
            with self._interruptible():
                while not ends:
                    result = self.learner.step(islice(batches, config.accumulate), state.step)
                    self._take_in(result)
                    if records and state.step % config.log_every == 0:
                        records.progress(result.learning_rate, batches.waited_s)
                    ends = state.step == config.steps or self.workers.any(self._must_stop(deadline))
                    if ends or state.step % config.checkpoint_every == 0:
                        self._save(records)
                    if records and (ends or state.step % config.validate_every == 0):
                        report = self._validate(records)
                        self._save(records)  # the checkpoint knows which validation was the best
        finally:
            batches.close()
            if records:
                records.close()
        if state.step < config.steps:
            self.log(f"stopped at step {state.step}; `--resume` continues from here")
        return report

    def resume(self) -> None:
        """Continues from the output folder's checkpoint, which the first process reads.

        Raises:
            ValueError: it is damaged, or belongs to other objects or another network.
        """
        if not self.workers.is_first:
            return
        groups, state = load_checkpoint(self.output / CHECKPOINT)
        names = [item.class_id for item in self.objects]
        if state["classes"] != names:
            raise ValueError(
                f"the checkpoint is of {state['classes']}, not of {names}: choose another --output"
            )
        self._check_scaling(state)
        self.learner.load_tensors(groups)
        self.state = RunState.from_json(state)
        self.log(f"resumed at step {self.state.step}")

    def save(self) -> None:
        """Writes the checkpoint: weights, averages, optimiser and all counts."""
        state = {**self.state.to_json(), "classes": [item.class_id for item in self.objects]}
        save_checkpoint(self.output / CHECKPOINT, self.learner.tensors(), state)

    # ---- parts of the loop -------------------------------------------------------------------------------------------
    def _agree(self) -> None:
        """All processes begin with the first one's weights, optimiser and counts; the settings go into the history."""
        if self.workers.count > 1:
            groups, state = self.workers.share(self.learner.tensors(), self.state.to_json())
            self.learner.load_tensors(groups)
            self.state = RunState.from_json(state)
        settings = {"processes": self.workers.count, "config": self.config.model_dump(mode="json")}
        if self.state.note_settings(settings):
            self.log(f"the settings differ from those before step {self.state.step}; the bundle will list both")

    def _check_scaling(self, state: dict[str, Any]) -> None:
        """Compares the network's input with that of a checkpoint, which no weight tells."""
        for settings in state.get("history", [])[-1:]:
            there = settings.get("config", {}).get("model", {}).get("input_scaling", "none")
            if there != self.learner.network.config.input_scaling:
                raise ValueError(
                    f"the checkpoint was trained with input_scaling: {there}: repeat --imagenet where the run had it, "
                    "or set it in the section `model` of the configuration"
                )

    def _batch_numbers(self) -> tuple[int, int]:
        """First and last (not included) of this process's batches, `accumulate` to a step."""
        return self.state.step * self.config.accumulate, self.config.steps * self.config.accumulate

    def _make_batch(self, number: int) -> SceneBatch:
        if self.learner.device.type == "cpu":
            torch.set_num_threads(1)  # of this thread alone: the trainer's own threads keep the cores busy
        index = number * self.workers.count + self.workers.rank  # no two processes draw the same samples
        batch = self.source.batch(index, self.config.batch_size, self.object_weights)
        return batch.to(self.learner.device)

    def _take_in(self, result: StepResult) -> None:
        if not result.is_finite:
            self.log(f"step {self.state.step + 1}: the loss or its gradient is not finite; the step is skipped")
        self.state.count(result, self.config.batch_size * self.config.accumulate * self.workers.count)

    def _validate(self, records: RunRecords) -> dict[str, Any]:
        started = time.monotonic()
        report, picture = self.validator(self.learner, self.state)
        records.validation(report, picture)
        records.pause(time.monotonic() - started)
        return report

    def _missing_validation(self) -> dict[str, Any]:
        """The last validation and its bundle, where the run was killed after its last checkpoint and before them."""
        if not self.workers.is_first or exported_step(self.output) == self.state.step:
            return {}
        self.log("the validation of its last step is missing: made now")
        records = RunRecords(self.output, self.state, self.config.steps, self.log)
        report = self._validate(records)
        self._save(records)
        records.close()
        return report

    def _save(self, records: RunRecords | None) -> None:
        if records:
            records.curves.flush()  # what a kill loses of them is made again from the checkpoint on
            self.save()

    def _must_stop(self, deadline: float | None) -> bool:
        return self._stop or (deadline is not None and time.monotonic() >= deadline)

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
