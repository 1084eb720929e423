"""TensorBoard curves and pictures of a run, where tensorboard is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor


class Curves:
    """Writes event files into a folder: `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: for the event files.
        step: steps that the run has already done; what an interrupted run wrote beyond them is taken back.
        log: told once where tensorboard is not installed; then nothing is written.
    """

    def __init__(self, folder: Path, step: int, log: Callable[[str], None]) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            log("no curves: tensorboard is not installed (pip install tensorboard)")
            return
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def scalars(self, figures: Mapping[str, float], step: int) -> None:
        """One point on each curve; names are "group/name"."""
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)

    def picture(self, name: str, image: Tensor, step: int) -> None:
        """A picture (3, H, W), uint8."""
        if self._writer is not None:
            self._writer.add_image(name, image.numpy(), step)

    def flush(self) -> None:
        """Puts everything on disk: a checkpoint must not be ahead of the curves."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Ends the event file."""
        if self._writer is not None:
            self._writer.close()
