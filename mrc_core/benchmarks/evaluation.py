"""How long scoring a data set takes, and how much memory: `mrc-net evaluate` itself, as a process, on a made-up set."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrc_core.data.bop_dataset import BopDataset
from mrc_core.data.bop_models import write_models
from mrc_core.data.bop_writer import ImageRecord, InstanceRecord, SplitWriter
from mrc_core.evaluation.results_file import PoseResult, write_results
from mrc_core.geometry.objects import ObjectModel
from mrc_core.geometry.rotations import make_transform, random_rotations, rotation_about
from mrc_core.rendering import Renderer, create_renderer

# A process's peak memory begins with its parent's, so a small process between the two asks for it.
_WITH_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
SIZE = (480, 640)
OBJECTS_PER_IMAGE = 6
IMAGES_PER_SCENE = 50
K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])


def measure_evaluation(
    objects: Sequence[ObjectModel], instances: int, note: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Seconds and peak memory of `mrc-net evaluate` without and with VSD, one row each.

    Six objects of random pose stand in each 640x480 image, some twice, and hide each other; the results are the ground
    truth, disturbed: a fifth of the rotations is random.

    Args:
        objects: of the data set; the number of their vertices and their symmetries matter.
        instances: how many are to be scored.
        note: told what is being done.
    """
    with tempfile.TemporaryDirectory(prefix="mrc-net-benchmark-") as folder:
        root = Path(folder) / "benchmark"
        note(f"writing a data set of {instances} instances, {len(objects)} objects")
        write_models(root, objects)
        _write_images(root, objects, instances)
        dataset = BopDataset(root)
        results = root / "disturbed_benchmark-test.csv"
        write_results(results, _disturbed(dataset))
        rows = []
        for name, more in (("without VSD", ["--no-vsd"]), ("with VSD", [])):
            note(f"mrc-net evaluate, {name}")
            rows.append({"scores": name, **_run(root, results, more)})
        return rows


def _run(root: Path, results: Path, more: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "mrc_core.cli", "evaluate", "--dataset", str(root), "--results", str(results)]
    output = root / "scores"
    started = time.perf_counter()
    command += ["--output", str(output), "--json", "--no-report", *more]
    done = subprocess.run([sys.executable, "-c", _WITH_PEAK, *command], capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"mrc-net evaluate failed: {done.stderr.strip()}")
    scores = json.loads(done.stdout)
    peak = int(done.stderr.split()[-1]) / 1024
    return {
        "instances": scores["instances"],
        "images": scores["images"],
        "seconds": seconds,
        "peak MB": peak,
        "AR": "-" if scores["ar"] is None else f"{scores['ar']:.3f}",
        "AR_MSSD": f"{scores['ar_mssd']:.3f}",
    }


def _write_images(root: Path, objects: Sequence[ObjectModel], instances: int) -> None:
    renderer = create_renderer("warp", [item.mesh for item in objects])
    rng = torch.Generator().manual_seed(0)
    writer = SplitWriter(root, "test", masks=False)
    images = -(-instances // OBJECTS_PER_IMAGE)
    scenes: dict[int, list[int]] = {}
    for number in range(images):
        scenes.setdefault(1 + number // IMAGES_PER_SCENE, []).append(number)
    left = instances
    for scene_id, numbers in scenes.items():
        records = []
        for _ in numbers:
            records.append(_image(renderer, len(objects), min(left, OBJECTS_PER_IMAGE), rng))
            left -= OBJECTS_PER_IMAGE
        writer.write_scene(scene_id, records)
    writer.finish(list(scenes), (SIZE[1], SIZE[0]))


def _image(renderer: Renderer, num_objects: int, count: int, rng: torch.Generator) -> ImageRecord:
    """An image of `count` objects, each at least 10 % visible: it is drawn again until they are."""
    while True:
        index = torch.randint(num_objects, (count,), generator=rng)
        depth = 0.6 + 0.9 * torch.rand(count, generator=rng)
        at = (torch.rand(count, 2, generator=rng) - 0.5) * torch.tensor([0.75, 0.55]) * depth[:, None]
        poses = make_transform(random_rotations(count, rng), torch.cat([at, depth[:, None]], dim=1))
        camera = torch.tensor(K).float()
        alone = renderer.render(index, poses, camera.expand(count, 3, 3).contiguous(), SIZE).mask
        image = torch.zeros(count, dtype=torch.int64)
        together = renderer.render_scenes(image, index, poses, camera[None], SIZE)
        visible = together.instance[0] == torch.arange(count)[:, None, None]
        share = visible.sum(dim=(1, 2)) / alone.sum(dim=(1, 2)).clamp(min=1)
        if share.min() >= 0.12:
            break
    records = [
        InstanceRecord(int(i) + 1, pose.double().numpy(), mask.numpy(), (0, 0), seen.numpy())
        for i, pose, mask, seen in zip(index, poses, alone, visible)
    ]
    rgb = np.zeros((*SIZE, 3), dtype=np.uint8)
    background = torch.where(together.depth_m[0] > 0, together.depth_m[0], 2.0)
    return ImageRecord(rgb, background.numpy(), K, tuple(records))


def _disturbed(dataset: BopDataset) -> list[PoseResult]:
    rng = torch.Generator().manual_seed(1)
    out = []
    for scene_id in dataset.scene_ids:
        for image in dataset.images(scene_id).values():
            for truth in image.ground_truth:
                axis = torch.randn(3, generator=rng).double()
                turn = rotation_about(axis, 0.1 * torch.randn((), generator=rng).double())
                if torch.rand((), generator=rng) < 0.2:
                    turn = random_rotations(1, rng)[0].double()
                pose = truth.cam_from_obj.copy()
                pose[:3, :3] = pose[:3, :3] @ turn.numpy()
                pose[:3, 3] += 0.006 * torch.randn(3, generator=rng).double().numpy()
                score = float(torch.rand((), generator=rng))
                out.append(PoseResult(scene_id, image.image_id, truth.obj_id, score, pose, 0.1))
    return out
