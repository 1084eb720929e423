"""`mrc-net import-weights`: a checkpoint of the authors' implementation as a bundle."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mrc_core import __version__
from mrc_core.data.object_set import load_objects
from mrc_core.geometry.objects import ObjectModel
from mrc_core.inference.bundle import Bundle
from mrc_core.model.adapters import (
    REFERENCE_CONVENTIONS,
    REFERENCE_DATASETS,
    adapt_reference,
    count_decoders,
    read_tensors,
    reference_config,
)

DESCRIPTION = """\
Turns a checkpoint of MRC-Net's authors (github.com/amzn/mrc-net-6d-pose) into a bundle that `mrc-net estimate`,
`mrc-net evaluate` and the ROS node load. Every tensor is checked by name and shape.

example:
  mrc-net import-weights --reference tless.pth --objects tless/objects.yaml --dataset tless --output runs/tless

objects.yaml lists the data set's models. Classes called 1, 2, ... or obj_000001, ... are told by their names, and may
be some of the data set's; otherwise they are taken in the order of --object-ids, or as all of the data set's.

A .pth file is read with torch.load(weights_only=True): a restricted unpickler, which builds tensors and plain
containers and refuses everything else. A .safetensors file of the checkpoint's `network` section is safer still.
The bundle itself holds no pickle. The weights stay under the licence that their authors gave them.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "import-weights",
        help="make a bundle of a checkpoint of the paper's authors",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--reference", required=True, metavar="FILE", help=".pth or .safetensors")
    parser.add_argument(
        "--objects", required=True, metavar="PATH", help="an objects.yaml, or a folder that holds one"
    )
    parser.add_argument(
        "--dataset",
        choices=sorted(REFERENCE_DATASETS),
        help="gives the objects' numbers and the depth limits",
    )
    parser.add_argument(
        "--tau-z-limits-mm",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="depth limits that the weights were trained with, mm per crop pixel (Tz_near, Tz_far); instead of, or "
        "for, a data set that is not listed",
    )
    parser.add_argument(
        "--object-ids",
        nargs="+",
        type=int,
        metavar="N",
        help="with --dataset: the data set's number of each object of objects.yaml, in their order",
    )
    parser.add_argument(
        "--norm",
        choices=("crop", "batch"),
        default="crop",
        help="statistics of the encoder's norms: of each crop alone (default: the same crop, the same pose), or of "
        "all crops of a frame",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="the bundle's folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Imports; returns the exit status."""
    if arguments.dataset is None and arguments.tau_z_limits_mm is None:
        raise ValueError("pass --dataset, or the depth limits of the training with --tau-z-limits-mm")
    if Path(arguments.output).exists():
        raise ValueError(f"{arguments.output} is there already: choose another --output, or remove it")
    objects = load_objects(arguments.objects)
    state_dict = read_tensors(arguments.reference, section="network")
    there = count_decoders(state_dict)
    decoders = choose_decoders(objects, there, arguments.dataset, arguments.object_ids)
    limits_mm = tuple(arguments.tau_z_limits_mm or REFERENCE_DATASETS[arguments.dataset].tau_z_limits_mm)
    config = reference_config(len(objects), norm=arguments.norm)
    adapted = adapt_reference(state_dict, config, limits_mm, decoders)
    provenance = {
        "version": __version__,
        "data": f"weights of MRC-Net's authors{f', {arguments.dataset}' if arguments.dataset else ''}",
        "source": Path(arguments.reference).name,
        "source_sha256": _sha256(Path(arguments.reference)),
        "decoders": decoders,
    }
    limits = torch.tensor([limits_mm] * len(objects)) / 1000
    bundle = Bundle(tuple(objects), config, limits, adapted.tensors, provenance, REFERENCE_CONVENTIONS)
    bundle.save(arguments.output)
    print(
        f"{len(adapted.tensors)} tensors of {len(objects)} objects (of {there}) written to {arguments.output}"
    )
    for reason in sorted(set(adapted.ignored.values())):
        print(f"left out: {sum(r == reason for r in adapted.ignored.values())} tensors, {reason}")
    return 0


def choose_decoders(
    objects: Sequence[ObjectModel], there: int, dataset: str | None, object_ids: Sequence[int] | None
) -> list[int]:
    """Which of the checkpoint's decoders each object gets.

    Raises:
        ValueError: the checkpoint, the data set and the objects do not fit together.
    """
    if dataset is None:
        if object_ids is not None:
            raise ValueError("--object-ids are numbers of a data set: name it with --dataset")
        if there != len(objects):
            raise ValueError(
                f"the checkpoint was trained on {there} objects, objects.yaml lists {len(objects)}"
            )
        return list(range(there))
    known = REFERENCE_DATASETS[dataset]
    if there not in (len(known.object_ids), len(known.object_ids) + known.spare_decoders):
        raise ValueError(
            f"the checkpoint was trained on {there} objects, {dataset} has {len(known.object_ids)}: is it another's?"
        )
    ids = list(object_ids) if object_ids is not None else _ids_by_name(objects)
    if ids is None:
        ids = list(known.object_ids)
    if len(ids) != len(objects):
        raise ValueError(
            f"objects.yaml lists {len(objects)} objects, {dataset} has {len(ids)}: list all in the order of their "
            "numbers, call them obj_000001 and so on, or say with --object-ids which they are"
            if object_ids is None
            else f"objects.yaml lists {len(objects)} objects, --object-ids has {len(ids)}"
        )
    strange = sorted(set(ids) - set(known.object_ids))
    if strange or len(set(ids)) < len(ids):
        raise ValueError(
            f"{dataset} has the objects {', '.join(map(str, known.object_ids))}, once each; asked for are {ids}"
        )
    return [known.object_ids.index(i) for i in ids]


def _ids_by_name(objects: Sequence[ObjectModel]) -> list[int] | None:
    """The numbers of classes that are all called 5 or obj_000005; None where one is not."""
    found = [re.fullmatch(r"(?:obj_)?(\d+)", item.class_id) for item in objects]
    return [int(match[1]) for match in found if match] if all(found) else None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
