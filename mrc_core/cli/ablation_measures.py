"""What is measured of an ablation's bundles: accuracy on one data set for all, size and time."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mrc_core.cli.ablation_runs import Run, last_row
from mrc_core.cli.benchmark import time_call
from mrc_core.cli.onboarding_evaluation import SPLIT, run_bundle
from mrc_core.cli.submission import class_of_objects
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_detections import read_bop_detections
from mrc_core.inference import Bundle, Detection, PoseEstimator

TIMED_CALLS = 30
STAGES = ("coarse", "refined")


def measure_accuracy(run: Run, turns: int, scenes: Path, folder: Path, device: str, vsd: bool) -> dict[str, Any]:
    """Figures of a finished training, JSON-able.

    Returns:
        `recall`, `ar`, `ar_mssd`, `ar_mspd` (0..1, `ar` None without VSD) and the median `rotation_deg` on the scenes;
        and, where the bundle is used as its own validation used it, with one turn, that validation's medians
        `coarse_angle_deg`, `refined_angle_deg`, `coarse_depth_percent` and `refined_depth_percent`.
    """
    rows = run_bundle(run.folder / "bundle", scenes, folder, device, report=False, turns=turns, vsd=vsd)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    rotation = median(row.rotation_deg for row in rows)
    figures: dict[str, Any] = {
        "recall": scores["recall_add(-s)"],
        **{key: scores[key] for key in ("ar", "ar_mssd", "ar_mspd")},
        "rotation_deg": rotation if math.isfinite(rotation) else None,
        "instances": len(rows),
    }
    validation = last_row(run.folder / "validation.jsonl") if turns == 1 else None
    for stage in STAGES:
        for key in ("angle_deg", "depth_percent"):
            figures[f"{stage}_{key}"] = None if validation is None else validation[stage][key]
    return figures


def measure_size(run: Run) -> dict[str, Any]:
    """Parameters of the network, and samples that its training saw."""
    bundle = Bundle.load(run.folder / "bundle")
    return {
        "parameters": sum(tensor.numel() for tensor in bundle.weights.values()),
        "samples_seen": int(bundle.provenance["samples_seen"]),
    }


def measure_time(run: Run, turns: int, scenes: Path, device: str) -> float:
    """Median milliseconds from a picture of the scenes with one detection to its pose; see TIMED_CALLS."""
    estimator = PoseEstimator.from_bundle(run.folder / "bundle", device, turns=turns)
    dataset = BopDataset(scenes, SPLIT)
    found, _ = read_bop_detections(scenes / "detections" / f"synthetic_{SPLIT}.json")
    first = found[0]
    image = dataset.images(first.scene_id)[first.image_id]
    picture = dataset.rgb(first.scene_id, first.image_id)
    classes = class_of_objects(estimator.bundle, dataset, {})
    detection = Detection(classes[first.obj_id], first.box_xyxy_px, first.score)
    return 1000 * time_call(lambda: estimator.estimate(picture, image.K, [detection]), TIMED_CALLS, device)


def timing_facts(device: str) -> dict[str, Any]:
    """How times are about to be taken, and what else the machine does: `load` is its average over the last minute."""
    facts = {"calls": TIMED_CALLS, "detections": 1, "device": device, "threads": torch.get_num_threads()}
    return facts | {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
