"""`mrc-net ablate`: the paper's ablations on your objects, with one table at the end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mrc_core.cli.ablation_measures import measure_accuracy, measure_size, measure_time, timing_facts
from mrc_core.cli.ablation_runs import Run, check_settings, train_all
from mrc_core.cli.ablation_statistics import OrderCheck, Spread, check_order
from mrc_core.cli.ablation_table import Row, legend, order_lines, print_tables, write_tables
from mrc_core.cli.ablation_variants import (
    ABLATION,
    BASE,
    VARIANTS,
    Planned,
    plan,
    published_row,
    settings_of,
    with_steps,
)
from mrc_core.cli.onboarding_evaluation import make_scenes
from mrc_core.data.atomic_files import write_json
from mrc_core.data.object_set import load_objects
from mrc_core.data.synthesis_record import fingerprint
from mrc_core.reporting.published import SOURCE, published_means
from mrc_core.training.config import TrainConfig

INTERRUPTED = 130
DESCRIPTION = f"""\
Trains variants of the network with the same budget on the same samples, tests all of them on one synthesized data set
and prints a table, with the paper's figures beside ours where it has the variant.

examples:
  mrc-net ablate --objects demo/objects --output runs/ablation --seeds 3 --jobs 2
  mrc-net ablate --objects demo/objects --output runs/quick --variants non_siamese,four_turns --steps 500

variants: {", ".join(VARIANTS)}.
The base ({BASE}) is always there. One that is the base under another name is not trained again.

The output folder holds runs/VARIANT/seedN/ (each as `mrc-net train` leaves it), synthetic/, evaluation/, and table.md,
table.csv and results.json. Ctrl-C or a kill anywhere loses little: the same command goes on, and more --seeds or
--variants add to what is there. docs/ablations.md says what each variant is and how to read the table.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "ablate",
        help="the paper's ablations on your objects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--objects", required=True, metavar="PATH", help="as for mrc-net train")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for all that is written")
    parser.add_argument(
        "--config", metavar="YAML", help="settings of the base; default those of config/train/ablation.yaml"
    )
    parser.add_argument("--variants", metavar="A,B,...", help="default: all")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each variant; default 1")
    parser.add_argument("--steps", type=int, metavar="N", help="of each training, instead of the configuration's")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time; default 1")
    parser.add_argument(
        "--eval-instances",
        type=int,
        default=100,
        metavar="N",
        help="how often each object is seen in the data set that tests, about; default %(default)s",
    )
    parser.add_argument("--vsd", action="store_true", help="VSD, and with it AR, too: takes longer")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: CUDA where present"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains, tests and prints; returns the exit status."""
    for key in ("seeds", "steps", "jobs", "eval_instances"):
        value = getattr(arguments, key)
        if value is not None and value < 1:
            raise ValueError(f"--{key.replace('_', '-')} must be 1 or more, not {value}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no CUDA device is available to torch: use --device cpu")
    console = Console(width=None if sys.stdout.isatty() else 220, highlight=False)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _Ablation(arguments, console).run()
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


class _Ablation:
    """The stages in their order."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self.arguments, self.console = arguments, console
        self.folder, self.objects = Path(arguments.output), Path(arguments.objects)
        base = TrainConfig.load(arguments.config) if arguments.config else TrainConfig.model_validate(ABLATION)
        self.base = with_steps(base, arguments.steps) if arguments.steps else base
        names = arguments.variants.split(",") if arguments.variants else list(VARIANTS)
        self.plan = plan([name.strip() for name in names], self.base)
        self.on_gpu = arguments.device != "cpu" and torch.cuda.is_available()

    @property
    def device(self) -> str:
        return "cuda" if self.on_gpu else "cpu"

    def run(self) -> None:
        objects = load_objects(self.objects)
        self._claim({item.class_id: fingerprint(item) for item in objects})
        own = [one for one in self.plan if one.run == one.variant.name]
        runs = [self._run(one, seed) for seed in range(self.arguments.seeds) for one in own]
        check_settings(runs)
        self._announce(runs)
        train_all(self.console, runs, self.objects, self.device, self.arguments.jobs)
        scenes = self.folder / "synthetic"
        make_scenes(self.objects, scenes, len(objects), self.arguments.eval_instances)
        self._report(scenes)

    def _claim(self, objects: dict[str, str]) -> None:
        """Takes the folder for these objects.

        Raises:
            ValueError: it was begun with others.
        """
        path = self.folder / "ablation.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["objects"] != objects:
            raise ValueError(f"{self.folder} was begun with other objects: choose another --output")
        write_json(path, {"objects": objects})

    def _run(self, one: Planned, seed: int) -> Run:
        settings = settings_of(VARIANTS[one.run], self.base, seed)
        return Run(one.run, seed, settings, self.folder / "runs" / one.run / f"seed{seed}")

    def _announce(self, runs: Sequence[Run]) -> None:
        shared = [f"{one.variant.name} (as {one.run})" for one in self.plan if one.run != one.variant.name]
        samples = self.base.steps * self.base.batch_size * self.base.accumulate
        self.console.print(
            f"{len(runs)} trainings of {self.base.steps} steps, {samples} samples each; without one of their own: "
            f"{', '.join(shared) or 'none'}",
            soft_wrap=True,
        )

    # ---- measuring ---------------------------------------------------------------------------------------------------
    def _report(self, scenes: Path) -> None:
        measured: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for one in self.plan:
            if self._key(one) not in measured:
                seeds = range(self.arguments.seeds)
                measured[self._key(one)] = [self._accuracy(one, seed, scenes) for seed in seeds]
        self.console.print("times, one bundle after the other")
        timing = timing_facts(self.device)
        ms: dict[tuple[str, int], float] = {}
        for one in self.plan:
            if self._key(one) not in ms:
                ms[self._key(one)] = measure_time(self._run(one, 0), one.variant.turns, scenes, self.device)
        by_variant = [measured[self._key(one)] for one in self.plan]
        rows = [self._row(one, measured[self._key(one)], ms[self._key(one)]) for one in self.plan]
        own = {row.name: figures for row, figures in zip(rows, by_variant) if row.same_as is None}
        checks, measure = self._order(own)
        notes = legend(self.arguments.seeds, by_variant[0][0]["instances"], timing)
        order = order_lines(checks, measure)
        write_tables(self.folder, rows, notes, order)
        content = {
            "base": self.base.model_dump(mode="json", exclude_defaults=True),
            "seeds": self.arguments.seeds,
            "timing": timing,
            "variants": {row.name: {**asdict(row), "by_seed": each} for row, each in zip(rows, by_variant)},
            "paper": SOURCE,
            "order_by": measure,
            "order": [{**asdict(one), "agrees": one.agrees, "is_clear": one.is_clear} for one in checks],
        }
        write_json(self.folder / "results.json", content)
        print_tables(self.console, rows, notes, order)
        self.console.print(f"table: {self.folder / 'table.md'}", soft_wrap=True)

    def _key(self, one: Planned) -> tuple[str, int]:
        """What decides a variant's figures."""
        return one.run, one.variant.turns

    def _accuracy(self, one: Planned, seed: int, scenes: Path) -> dict[str, Any]:
        self.console.print(f"test of {one.variant.name}, seed {seed}")
        folder = self.folder / "evaluation" / one.variant.name / f"seed{seed}"
        turns, vsd = one.variant.turns, self.arguments.vsd
        return measure_accuracy(self._run(one, seed), turns, scenes, folder, self.device, vsd)

    def _row(self, one: Planned, figures: Sequence[dict[str, Any]], ms: float) -> Row:
        spreads = {key: Spread.of([each[key] for each in figures]) for key in figures[0] if key != "instances"}
        same = next(other.variant.name for other in self.plan if self._key(other) == self._key(one))
        size = measure_size(self._run(one, 0))
        published = published_means("tless").get(published_row(one.variant, one.settings) or "", {})
        return Row(
            one.variant.name,
            one.variant.what,
            None if same == one.variant.name else same,
            spreads,
            size["parameters"],
            ms,
            size["samples_seen"],
            published.get("ar"),
        )

    def _order(self, figures: Mapping[str, Sequence[dict[str, Any]]]) -> tuple[list[OrderCheck], str]:
        """How the variants (figures of each seed, by name) stand to each other in the paper, and by which measure."""
        with_ar = all(each["ar"] is not None for seeds in figures.values() for each in seeds)
        keys = ("ar",) if with_ar else ("ar_mssd", "ar_mspd")
        means = published_means("tless")
        paper, ours = {}, {}
        for one in self.plan:
            name = one.variant.name
            row = means.get(published_row(one.variant, one.settings) or "")
            spread = Spread.of([100 * sum(each[key] for key in keys) / len(keys) for each in figures.get(name, [])])
            if row is not None and spread is not None:
                paper[name] = sum(row[key] for key in keys) / len(keys)
                ours[name] = spread
        return check_order(paper, ours), "AR" if with_ar else "the mean of AR_MSSD and AR_MSPD"
