"""Latency of the estimator's stages, from the whole image to the poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from mrc_core.benchmarks.rendering import lumpy_sphere
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.symmetries import SymmetrySet
from mrc_core.inference.bundle import Bundle
from mrc_core.inference.estimator import Detection, PoseEstimator
from mrc_core.model.config import MRCNetConfig
from mrc_core.model.network import MRCNet
from mrc_core.rendering import create_renderer

IMAGE_SIZE = (480, 640)
K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])


def random_bundle(flavour: str) -> Bundle:
    """A bundle of one object with random weights."""
    config = MRCNetConfig.paper(1) if flavour == "paper" else MRCNetConfig.small(1)
    torch.manual_seed(0)
    item = ObjectModel("lumpy_sphere", lumpy_sphere(), SymmetrySet())
    tau_z = 1.5 * item.diameter / config.crop_size
    return Bundle(
        (item,), config, torch.tensor([[0.5 * tau_z, 1.5 * tau_z]]), MRCNet(config).state_dict(), {}
    )


def measure_stages(
    flavour: str, device: str, counts: Sequence[int], time_call: Callable[..., float], repeats: int
) -> list[dict[str, Any]]:
    """Rows of detections in a frame and ms of crop, encoding, stage 1, render, stage 2 and of the whole call."""
    bundle = random_bundle(flavour)
    renderer = create_renderer("warp", [item.centred_mesh for item in bundle.objects], device=device)
    estimator = PoseEstimator(bundle, renderer, torch.device(device), "bf16" if device == "cuda" else "fp32")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*IMAGE_SIZE, 3), dtype=np.uint8)
    two_stage = estimator.two_stage
    rows = []
    for count in counts:
        corners = rng.uniform([0, 0], [480, 320], (count, 2))
        detections = [Detection("lumpy_sphere", (x, y, x + 160, y + 150), 0.9) for x, y in corners]
        frame = [(image, K, detections)]
        with torch.inference_mode():
            crops = estimator.crop(frame)
            assert crops is not None
            real = two_stage.encode(crops)
            logits = two_stage.classify(real, crops)
            coarse = two_stage.codec.coarse_pose(
                two_stage.codec.most_likely(logits), crops.K, crops.object_index
            )
            parts: dict[str, Callable[[], Any]] = {
                "crop": partial(estimator.crop, frame),
                "encode": partial(two_stage.encode, crops),
                "stage 1": partial(two_stage.classify, real, crops),
                "render": partial(two_stage.render, coarse, crops),
                "render + stage 2": partial(two_stage.refine, crops, real, coarse),
                "image to pose": partial(estimator.estimate, image, K, detections),
            }
            seconds = {name: time_call(part, repeats, device) for name, part in parts.items()}
        row: dict[str, Any] = {"detections": str(count), **{name: 1000 * s for name, s in seconds.items()}}
        row["ms a detection"] = row["image to pose"] / count
        rows.append(row)
    return rows
