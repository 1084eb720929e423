"""The network and everything that an optimiser step changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from mrc_core.data.scenes import SceneBatch
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import codec_for
from mrc_core.model.network import MRCNet
from mrc_core.model.two_stage import CropRenderer, Crops, TwoStage, TwoStageOutput
from mrc_core.training.checkpoint import optimizer_tensors, restore_optimizer
from mrc_core.training.coarse_noise import disturbed, noise_share
from mrc_core.training.config import TrainConfig
from mrc_core.training.objective import Objective
from mrc_core.training.schedule import warmup_cosine
from mrc_core.training.surface_coordinates import SurfaceHead
from mrc_core.training.workers import Workers


class StepResult(NamedTuple):
    """What one step saw: means over all samples of all processes.

    terms: every weighted loss term and their sum, `total`.
    gradient_norm: before clipping.
    learning_rate: of this step.
    """

    terms: dict[str, float]
    gradient_norm: float
    learning_rate: float

    @property
    def is_finite(self) -> bool:
        """Whether the step was taken: one whose loss or gradient is not finite changes nothing."""
        return math.isfinite(self.gradient_norm) and math.isfinite(self.terms["total"])


class Learner:
    """Network, objective, optimiser and averaged weights.

    Args:
        config: the run's settings.
        objects: what to learn.
        renderer: renders coarse poses for stage 2.
        depth_limits: tau_z limits by object (N, 2).
        device: cpu or cuda.
        workers: the processes that train together.
    """

    def __init__(
        self,
        config: TrainConfig,
        objects: Sequence[ObjectModel],
        renderer: CropRenderer,
        depth_limits: Tensor,
        device: torch.device,
        workers: Workers,
    ) -> None:
        self.config, self.device, self.workers = config, device, workers
        torch.manual_seed(config.seed)
        self.network = MRCNet(config.network_config(len(objects))).to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.network.config.feature_channels
        self.surface_head = SurfaceHead(features).to(device) if config.losses.surface else None
        self.codec = codec_for(self.network.config, depth_limits, config.conventions).to(device)
        autocast = torch.bfloat16 if config.precision == "bf16" else None
        self.two_stage = TwoStage(self.network, self.codec, renderer, autocast)
        self.objective = Objective(objects, self.codec, config, self.surface_head, device)
        self.diameter = torch.tensor([item.diameter for item in objects], device=device)
        self.trained = dict(self.network.named_parameters())
        if self.surface_head is not None:
            self.trained.update({f"surface_head.{k}": p for k, p in self.surface_head.named_parameters()})
        self.optimizer, self._names = self._make_optimizer()
        self.average = {name: p.detach().clone() for name, p in self.network.state_dict().items()}

    def _make_optimizer(self) -> tuple[torch.optim.Optimizer, list[str]]:
        """AdamW without decay on norms and biases, and the parameters' names in the optimiser's order."""
        decayed = {k: p for k, p in self.trained.items() if p.ndim > 1}
        plain = {k: p for k, p in self.trained.items() if p.ndim <= 1}
        groups = [
            {"params": list(decayed.values()), "weight_decay": self.config.weight_decay},
            {"params": list(plain.values()), "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate, betas=(0.9, 0.99), fused=True)
        return optimizer, [*decayed, *plain]

    # ---- one step ----------------------------------------------------------------------------------------------------
    def step(self, batches: Iterable[SceneBatch], number: int) -> StepResult:
        """The optimiser step `number` on `accumulate` batches of this process and of every other one.

        Where the loss or the gradient is not finite, weights, optimiser and averages stay as they are. All processes
        decide alike, since they look at the same means.
        """
        config = self.config
        rate = warmup_cosine(
            number, config.steps, config.warmup_steps, config.learning_rate, config.final_learning_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        terms = self.gradients(batches, number)
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), config.clip_gradient)
        result = StepResult(terms, float(norm), rate)
        if result.is_finite:
            self.optimizer.step()
            self._update_average(number + 1)
        return result

    def gradients(self, batches: Iterable[SceneBatch], number: int) -> dict[str, float]:
        """Leaves the mean gradient over all samples of the step in the parameters; returns the mean loss terms."""
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for micro, batch in enumerate(batches):
            batch = batch.to(self.device)
            terms = self.objective(self.forward(batch, number * self.config.accumulate + micro, number), batch)
            (terms["total"] / self.config.accumulate).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.detach().float() / self.config.accumulate
        means = self.workers.average_gradients(self.trained.values(), torch.stack(list(sums.values())))
        return dict(zip(sums, means.tolist()))

    def forward(self, batch: SceneBatch, draw: int, step: int) -> TwoStageOutput:
        """Both stages; a share of the batch starts stage 2 from disturbed truth. `draw` is the number of the batch."""
        crops = Crops(batch.image, batch.K, batch.object_index)
        real = self.two_stage.encode(crops)
        logits = self.two_stage.classify(real, crops)
        with torch.no_grad():
            coarse = self.codec.coarse_pose(self.codec.most_likely(logits), crops.K, crops.object_index)
            rng = torch.Generator().manual_seed(
                (self.config.seed * 7919 + draw) * self.workers.count + self.workers.rank
            )
            replaced = torch.rand(len(crops), generator=rng) < noise_share(step, self.config)
            near_truth = disturbed(batch.cam_from_obj, self.diameter[batch.object_index], self.config, rng)
            coarse = torch.where(replaced.to(self.device)[:, None, None], near_truth, coarse)
        seen = real.detached() if self.config.separate_stages else real
        return TwoStageOutput(real, logits, *self.two_stage.refine(crops, seen, coarse))

    # ---- averaged weights --------------------------------------------------------------------------------------------
    @torch.no_grad()
    def _update_average(self, steps: int) -> None:
        decay = min(self.config.ema_decay, (1 + steps) / (10 + steps))
        state = self.network.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [state[name] for name in self.average], 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[TwoStage]:
        """Both stages with the averaged weights, for validation; afterwards the network has its own again."""
        self._exchange()
        self.network.eval()
        try:
            yield self.two_stage
        finally:
            self.network.train()
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, value in self.network.state_dict().items():  # shares memory with the network
            kept = value.clone()
            value.copy_(self.average[name])
            self.average[name].copy_(kept)

    # ---- checkpoints -------------------------------------------------------------------------------------------------
    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that a run needs to go on exactly, by group; `load_tensors` takes it back."""
        return {
            "trained": {name: p.data for name, p in self.trained.items()},
            "average": self.average,
            "optimizer": optimizer_tensors(self.optimizer, self._names),
            "limits": {"tau_z": self.codec.depth_limits},
        }

    @torch.no_grad()
    def load_tensors(self, groups: dict[str, dict[str, Tensor]]) -> None:
        """Takes over what `tensors` gave.

        Raises:
            ValueError: it is of another network.
        """
        saved = groups["trained"]
        differs = [k for k, p in self.trained.items() if k not in saved or saved[k].shape != p.shape]
        if differs:
            raise ValueError(
                f"the checkpoint has another network ({differs[0]} differs): choose another --output"
            )
        for name, parameter in self.trained.items():
            parameter.copy_(saved[name])
        for name, value in self.average.items():
            value.copy_(groups["average"][name])
        self.codec.depth_limits.copy_(groups["limits"]["tau_z"])
        restore_optimizer(self.optimizer, self._names, groups.get("optimizer", {}))
