"""The trainings of an ablation: processes of their own, several at a time, which go on after an interruption."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from mrc_core.cli.onboarding_training import RunOptions, steps_done, write_config
from mrc_core.cli.own_processes import environment_of_one_core
from mrc_core.training.config import TrainConfig
from mrc_core.training.trainer import CHECKPOINT
from mrc_core.training.validator import exported_step

POLL_S = 0.2
REPORT_S = 60.0


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: of the variant.
        folder: what `mrc-net train` writes to; its settings and its console's lines lie beside it.
    """

    name: str
    seed: int
    settings: TrainConfig
    folder: Path

    @property
    def title(self) -> str:
        return f"{self.name}, seed {self.seed}"

    @property
    def config(self) -> Path:
        return self.folder.with_suffix(".yaml")

    @property
    def console(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def is_finished(self) -> bool:
        """Whether its bundle is that of the last step."""
        return exported_step(self.folder) == self.settings.steps


def check_settings(runs: Sequence[Run]) -> None:
    """Writes the settings of new runs.

    Raises:
        ValueError: a run was begun with other settings.
    """
    for run in runs:
        if not run.config.is_file():
            run.folder.parent.mkdir(parents=True, exist_ok=True)
            write_config(run.config, run.settings)
        there, here = (one.model_dump(mode="json") for one in (TrainConfig.load(run.config), run.settings))
        differs = [key for key in here if there[key] != here[key]]
        if differs:
            raise ValueError(
                f"{run.folder} was begun with other settings ({', '.join(differs)}): repeat the first command to go on "
                "with it, or choose another --output"
            )


def train_all(console: Console, runs: Sequence[Run], objects: Path, device: str, jobs: int) -> None:
    """Runs what is not finished, `jobs` at a time.

    Raises:
        ValueError: a training of an earlier command is still at work.
        RuntimeError: a training failed; the others have been ended and left checkpoints.
        KeyboardInterrupt: after the trainings were interrupted too and have left checkpoints.
    """
    waiting = [run for run in runs if not run.is_finished]
    if len(waiting) < len(runs):
        console.print(f"{len(runs) - len(waiting)} of {len(runs)} trainings are there already")
    working: dict[int, tuple[Run, subprocess.Popen[bytes]]] = {}
    told = time.monotonic()
    try:
        while waiting or working:
            while waiting and len(working) < jobs:
                run = waiting.pop(0)
                done = steps_done(run.folder)
                console.print(f"{run.title}: {f'goes on at step {done}' if done else 'begins'}")
                with _ctrl_c_waits():  # a training that nobody has noted down would go on alone
                    process = _start(run, objects, device)
                    working[process.pid] = run, process
            time.sleep(POLL_S)
            for pid, (run, process) in list(working.items()):
                if process.poll() is None:
                    continue
                del working[pid]
                if process.returncode or not run.is_finished:
                    raise RuntimeError(f"{run.title}: the training ended early, see {run.console}")
                left = len(waiting) + len(working)
                console.print(f"{run.title}: done, {_progress(run)}; {left} of {len(runs)} trainings left")
            if time.monotonic() - told > REPORT_S:
                told = time.monotonic()
                for run, _ in working.values():
                    console.print(f"{run.title}: {_progress(run)}")
    finally:
        for _, process in working.values():
            process.send_signal(signal.SIGINT)  # ends after the step at hand, with a checkpoint
        for _, process in working.values():
            process.wait()


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """What SIGINT does is done at the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # signals are not ours to handle
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def _start(run: Run, objects: Path, device: str) -> subprocess.Popen[bytes]:
    resume = (run.folder / CHECKPOINT).is_file()
    argv = RunOptions(objects, 1, device, None).argv(run.config, run.folder, resume)
    with open(run.folder.with_suffix(".lock"), "w") as lock, open(run.console, "ab") as output:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"{run.title} is still being trained by an earlier command: wait for it, or end it"
            ) from error
        return subprocess.Popen(
            [sys.executable, "-m", "mrc_core.cli", "train", *argv],
            env=environment_of_one_core(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches it once, through us
            pass_fds=(lock.fileno(),),  # it holds the lock as long as it lives, whatever becomes of us
        )


def _progress(run: Run) -> str:
    row = last_row(run.folder / "train.jsonl")
    if row is None:
        return f"no step of {run.settings.steps} yet"
    return f"step {row['step']} of {run.settings.steps}, {row['samples_per_second']:.0f} samples/s"


def last_row(path: Path) -> dict[str, Any] | None:
    """The last line of a file of JSON lines that is whole; None where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in reversed(lines):
        try:
            return dict(json.loads(line))
        except ValueError:
            continue
    return None
