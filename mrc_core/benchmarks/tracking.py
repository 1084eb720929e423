"""What a tracked frame costs beside a detected one, and how much of it keeping renders saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch

from mrc_core.benchmarks.stages import IMAGE_SIZE, K, random_bundle
from mrc_core.inference.estimator import Detection, PoseEstimate, PoseEstimator
from mrc_core.inference.following import Followed, PoseFollower
from mrc_core.model.pyramid import Pyramid
from mrc_core.model.two_stage import Crops, Refinement, TwoStage
from mrc_core.rendering import create_renderer

DISTANCE_M = 0.6
ROUNDS = (1, 2)  # of the bundle


def measure_tracking(flavour: str, device: str, counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Rows of a bundle's rounds of stage 2 and objects in a frame; ms, and parts of the detected frame's, of a detected
    frame, a tracked one whose renders are new and one whose kept renders serve again.

    Objects with new renders have the bundle's rounds, those with kept ones have one: the follower's own choice. All
    start from the whole image. The three take turns, so that a busy machine slows all of them. Objects stand still;
    what stages of random weights say of the pose is computed and thrown away, so that all render the same poses.
    """
    return [row for rounds in ROUNDS for row in _measure(rounds, flavour, device, counts, repeats)]


def _measure(
    rounds: int, flavour: str, device: str, counts: Sequence[int], repeats: int
) -> list[dict[str, Any]]:
    bundle = random_bundle(flavour)
    bundle = replace(bundle, config=bundle.config.model_copy(update={"rounds": rounds}))
    renderer = create_renderer("warp", [item.centred_mesh for item in bundle.objects], device=device)
    estimator = PoseEstimator(bundle, renderer, torch.device(device), "bf16" if device == "cuda" else "fp32")
    stages = estimator.two_stage
    estimator.two_stage = told = _ToldPoses(stages.network, stages.codec, stages.renderer, stages.autocast)
    follower = PoseFollower(estimator)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (*IMAGE_SIZE, 3), dtype=np.uint8)
    rows = []
    for count in counts:
        known = [_known(rng.uniform((140, 120), (500, 360)), follower) for _ in range(count)]
        detections = [one.estimate.detection for one in known]
        index = torch.zeros(count, dtype=torch.long, device=device)
        told.coarse = estimator.in_network_frame([one.estimate.cam_from_obj for one in known], index)
        kept = [
            replace(one, kept=found.kept if found else None)
            for one, found in zip(known, follower.follow(image, K, known))
        ]
        calls: dict[str, Callable[[], Any]] = {
            "detected": lambda found=detections: estimator.estimate(image, K, found),  # type: ignore[misc]
            "tracked, rendered": lambda known=known: follower.follow(image, K, known),  # type: ignore[misc]
            "tracked, kept": lambda kept=kept: follower.follow(image, K, kept),  # type: ignore[misc]
        }
        seconds = _in_turns(calls, repeats, device)
        whole = seconds["detected"]
        row: dict[str, Any] = {"rounds": str(rounds), "objects": str(count)}
        row.update({f"{name}, ms": 1e3 * s for name, s in seconds.items()})
        row.update({f"{name}, part": s / whole for name, s in seconds.items() if name != "detected"})
        rows.append(row)
    return rows


class _ToldPoses(TwoStage):
    """Stage 2 starts from `coarse` (B, 4, 4), whatever stage 1 says: a render's time depends on what is in it."""

    coarse: torch.Tensor

    def refine_in_rounds(self, crops: Crops, real: Pyramid, coarse: torch.Tensor) -> Refinement:
        return super().refine_in_rounds(crops, real, self.coarse)


def _known(pixel: np.ndarray, follower: PoseFollower) -> Followed:
    """The benchmark's object, seen around a pixel."""
    pose = np.eye(4)
    pose[:3, 3] = DISTANCE_M * (np.linalg.inv(K) @ np.array([*pixel, 1.0]))
    box = follower.box("lumpy_sphere", pose, K)
    assert box is not None
    return Followed(PoseEstimate("lumpy_sphere", pose, 0.9, None, Detection("lumpy_sphere", box)))


def _in_turns(calls: dict[str, Callable[[], Any]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each call, one after the other and then the other way round, after a round that is not counted.

    What memory a call finds depends on the one before it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in list(calls.items())[:: -1 if number % 2 else 1]:
            started_s = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started_s)
    return {name: median(values[1:]) for name, values in seconds.items()}
