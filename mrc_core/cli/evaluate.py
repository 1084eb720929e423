"""`mrc-net evaluate`: the BOP benchmark's scores of a result file, or of a bundle that is run first."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mrc_core.cli.evaluation_tables import print_differences, print_problems, print_scores
from mrc_core.cli.submission import Submission, class_of_objects, shape_problems
from mrc_core.data.bop_dataset import KNOWN_NAMES, BopDataset, Target, known_name
from mrc_core.data.bop_detections import read_bop_detections
from mrc_core.evaluation.comparison import compare
from mrc_core.evaluation.evaluate import evaluate
from mrc_core.evaluation.instances import instances
from mrc_core.evaluation.results_file import PoseResult, read_results, results_file_name, write_results
from mrc_core.evaluation.summary import Summary, summarise
from mrc_core.inference import PoseEstimator
from mrc_core.rendering import create_renderer
from mrc_core.reporting import write_comparison, write_report, write_tables
from mrc_core.reporting.plotting import require_matplotlib

DESCRIPTION = """\
Scores 6-DoF poses on a BOP data set (classic layout): AR of VSD, MSSD and MSPD, ADD(-S) recall, AUC, detection AP, in
all and by object, and writes a report to look at.

examples:
  mrc-net evaluate --dataset ycbv --split test --results gdrnpp_ycbv-test.csv
  mrc-net evaluate --dataset ycbv --split test --results a_ycbv-test.csv b_ycbv-test.csv   # side by side
  mrc-net evaluate --dataset runs/synthetic --bundle demo/bundle \\
                   --detections runs/synthetic/detections/synthetic_test.json

A result file has the benchmark's columns scene_id,im_id,obj_id,score,R,t,time (t in mm). With --bundle one is written,
METHOD_DATASET-SPLIT.csv, which the benchmark's server accepts.

The output folder holds report.html, scores.json, objects.csv, instances.csv and, in parts/, what an interrupted
evaluation goes on from. Bad lines and files are named; what can honestly be scored is.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "evaluate",
        help="score poses on a BOP data set",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, metavar="DIR", help="the data set's folder, with models_eval/")
    parser.add_argument("--dataset-name", metavar="NAME", help="ycbv, tless, ...; default: the folder's name")
    parser.add_argument("--split", default="test", metavar="NAME", help="default: test")
    parser.add_argument("--targets", metavar="JSON", help="default: SPLIT_targets_bop19.json of the data set")
    parser.add_argument("--results", nargs="+", metavar="CSV", help="result files of any methods; two are compared")
    parser.add_argument("--bundle", metavar="DIR", help="run this bundle, and score what it gives")
    parser.add_argument("--detections", metavar="JSON", help="with --bundle: detections in the benchmark's format")
    parser.add_argument(
        "--class-map",
        nargs="+",
        default=[],
        metavar="CLASS=NUMBER",
        help="with --bundle: which object of the data set a class is, where the names do not tell",
    )
    parser.add_argument(
        "--all-detections",
        action="store_true",
        help="with --bundle: every detection gets a pose (6D detection), not only the best of each target",
    )
    parser.add_argument("--method", default="MRC-Net", help="with --bundle: name in the file's name; no '_'")
    parser.add_argument("--output", metavar="DIR", help="default: out/evaluation/NAME-OF-THE-RESULTS")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else, to stdout")
    parser.add_argument("--no-vsd", action="store_true", help="leave VSD (and AR) out: no depth, no rendering")
    parser.add_argument("--no-report", action="store_true", help="only scores.json, objects.csv and instances.csv")
    parser.add_argument("--vsd-delta-mm", type=float, metavar="MM", help="default: 15, for ITODD 5")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="with --bundle; as in estimate")
    parser.add_argument(
        "--turns", type=int, default=1, choices=(1, 4), help="with --bundle; as in estimate, default 1"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates; returns the exit status."""
    if bool(arguments.results) == bool(arguments.bundle):
        raise ValueError("pass either --results CSV, or --bundle DIR with --detections JSON")
    if bool(arguments.bundle) != bool(arguments.detections):
        raise ValueError("--bundle and --detections belong together: poses start from detected boxes")
    delta = arguments.vsd_delta_mm
    if delta is not None and not 1 <= delta <= 200:
        raise ValueError(f"--vsd-delta-mm {delta:g}: millimetres, 1 to 200 (the benchmark's is 15, ITODD's 5)")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no CUDA device is available to torch: use --device cpu")
    if not arguments.no_report:
        require_matplotlib()  # now, and not after hours of scoring
    console = Console(stderr=True)
    dataset = BopDataset(arguments.dataset, arguments.split, arguments.dataset_name)
    targets = dataset.targets(arguments.targets)
    if arguments.bundle:
        scored = _run_bundle(arguments, dataset, targets, console)
        if scored is None:
            return 0
        summaries = [scored]
    else:
        folders = _folders(arguments.results, arguments.output)
        summaries = [
            _score_file(arguments, dataset, targets, path, folder, console) for path, folder in folders.items()
        ]
    comparison = compare(summaries) if len(summaries) > 1 else None
    if comparison is not None and not arguments.no_report:
        stems = "_against_".join(path.stem for path in folders)
        folder = Path(arguments.output or f"out/evaluation/{stems[:120]}")
        page = write_comparison(folder, summaries, comparison, dataset, _renderers(arguments))
        console.print(f"comparison: {page}", soft_wrap=True)
    if arguments.json:
        content = [summary.to_json() for summary in summaries]
        print(json.dumps(content[0] if comparison is None else {"methods": content, **comparison.to_json()}))
        return 0
    out = Console(width=None if sys.stdout.isatty() else 120)
    for summary in summaries:
        print_scores(out, summary)
    if comparison is not None:
        print_differences(out, comparison)
    return 0


def _folders(paths: Sequence[str], output: str | None) -> dict[Path, Path]:
    """A folder for each result file, of its own where there are several."""
    if len({Path(p).resolve() for p in paths}) < len(paths):
        raise ValueError("--results names a file twice")
    stems = [Path(p).stem for p in paths]
    names = [stem if stems.count(stem) == 1 else f"{stem}_{i}" for i, stem in enumerate(stems, start=1)]
    if output and len(paths) == 1:
        return {Path(paths[0]): Path(output)}
    return {Path(path): Path(output or "out/evaluation") / name for path, name in zip(paths, names)}


def _renderers(arguments: argparse.Namespace) -> Any:
    return lambda meshes: create_renderer("warp", meshes, device=arguments.device)


def _score_file(
    arguments: argparse.Namespace,
    dataset: BopDataset,
    targets: list[Target],
    path: Path,
    folder: Path,
    console: Console,
) -> Summary:
    read = read_results(path)
    problems = [f"{path.name}, {problem}" for problem in read.problems]
    told = path.stem.split("_")[1:2]
    if told and known_name(told[0].split("-")[0]) in KNOWN_NAMES and told != [f"{dataset.name}-{dataset.split}"]:
        problems.append(f"{path.name} is named for {told[0]}, but scored on {dataset.name}-{dataset.split}")
    return _score(arguments, dataset, targets, read.results, read.method, problems, folder, console)


def _run_bundle(
    arguments: argparse.Namespace, dataset: BopDataset, targets: list[Target], console: Console
) -> Summary | None:
    """Writes the bundle's result file and scores it; None where the data set's ground truth is not public."""
    plain = re.sub(r"[^A-Za-z0-9]", "", dataset.name)  # '_' and '-' part the names in a result file's name
    name = results_file_name(arguments.method, plain, arguments.split)
    folder = Path(arguments.output or f"out/evaluation/{Path(name).stem}")
    detections, problems = read_bop_detections(arguments.detections)
    problems = [f"{Path(arguments.detections).name}, {problem}" for problem in problems]
    estimator = PoseEstimator.from_bundle(
        arguments.bundle, arguments.device, arguments.precision, turns=arguments.turns
    )
    classes = class_of_objects(estimator.bundle, dataset, _class_map(arguments.class_map))
    problems += shape_problems(estimator.bundle, dataset, classes)
    lacking = sorted({one.obj_id for one in targets} - set(classes))
    if lacking:
        problems.append(f"the bundle has no class for the objects {', '.join(map(str, lacking))}: they count as missed")
    wanted = {(one.scene_id, one.image_id) for one in targets}
    elsewhere = sum((one.scene_id, one.image_id) not in wanted or one.obj_id not in classes for one in detections)
    if elsewhere:
        problems.append(
            f"{elsewhere} of {len(detections)} detections are of images without a target, or of objects that the "
            "bundle does not know: they get no pose"
        )
    if not detections:
        problems.append("the detections are empty: nothing is estimated")
    if detections and all(one.time_s < 0 for one in detections):
        problems.append("the detections tell no time: the file's times are those of pose estimation alone")
    facts = {"bundle": _bundle_hash(arguments.bundle), "device": arguments.device, "precision": estimator.precision}
    facts |= {"turns": arguments.turns} if arguments.turns > 1 else {}  # poses kept before there were turns still hold
    parts = folder / "parts" / "poses"
    submission = Submission(dataset, estimator, classes, detections, arguments.all_detections, facts, parts)
    with _bar(console, "poses, images") as progress:
        results, more = submission.run(targets, progress)
    write_results(folder / name, results)
    console.print(f"result file: {folder / name}", soft_wrap=True)
    problems += more
    if not any(dataset.has_ground_truth(scene_id) for scene_id in {one.scene_id for one in targets}):
        print_problems(console, problems)
        console.print("this split has no ground truth (scene_gt.json): the file is for the benchmark's server")
        return None
    return _score(arguments, dataset, targets, results, arguments.method, problems, folder, console)


def _class_map(entries: Sequence[str]) -> dict[str, int]:
    out: dict[str, int] = {}
    for entry in entries:
        class_id, _, number = entry.rpartition("=")
        if not class_id or not number.isdigit():
            raise ValueError(f"--class-map {entry}: CLASS=NUMBER is needed, as in tea_box=1")
        if int(number) in out.values():
            raise ValueError(f"--class-map names object {number} twice")
        out[class_id] = int(number)
    return out


def _bundle_hash(path: str) -> str:
    return hashlib.sha256((Path(path) / "bundle.yaml").read_bytes()).hexdigest()


def _score(
    arguments: argparse.Namespace,
    dataset: BopDataset,
    targets: list[Target],
    results: list[PoseResult],
    method: str,
    problems: list[str],
    folder: Path,
    console: Console,
) -> Summary:
    make_renderer = _renderers(arguments)
    with _bar(console, f"{method}, instances") as progress:
        evaluation = evaluate(
            dataset,
            results,
            method=method,
            targets=targets,
            make_renderer=None if arguments.no_vsd else make_renderer,
            delta_m=None if arguments.vsd_delta_mm is None else arguments.vsd_delta_mm / 1000,
            parts=folder / "parts" / "errors",
            device=arguments.device,
            known_problems=problems,
            progress=progress,
        )
    print_problems(console, evaluation.problems, evaluation.is_complete)
    summary = summarise(evaluation)
    rows = instances(summary)
    if arguments.no_report:
        write_tables(folder, summary, rows)
    else:
        console.print(f"report: {write_report(folder, summary, rows, dataset, make_renderer)}", soft_wrap=True)
    return summary


@contextmanager
def _bar(console: Console, what: str) -> Any:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
