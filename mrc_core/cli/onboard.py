"""`mrc-net onboard`: from meshes to a trained and measured bundle in one command."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from mrc_core.cli.objects_file import with_symmetries
from mrc_core.cli.onboarding_evaluation import (
    calibrate_bundle,
    copy_report,
    make_scenes,
    print_accuracy,
    read_rows,
    run_bundle,
)
from mrc_core.cli.onboarding_meshes import print_meshes, read_meshes, write_objects
from mrc_core.cli.onboarding_state import OnboardingState
from mrc_core.cli.onboarding_symmetries import check_choice, choose_symmetries
from mrc_core.cli.onboarding_training import (
    BUDGETS_MIN,
    RunOptions,
    base_config,
    for_time,
    measure_speed,
    run_training,
    steps_done,
    write_config,
)
from mrc_core.data.atomic_files import write_bytes
from mrc_core.data.object_set import load_objects
from mrc_core.data.synthesis_record import fingerprint
from mrc_core.geometry.mesh import METRES_PER_UNIT
from mrc_core.inference.bundle import Bundle
from mrc_core.reporting.plotting import require_matplotlib
from mrc_core.training.config import TrainConfig

INTERRUPTED = 130
BUDGETS = ", ".join(f"{name} {minutes:.0f}" for name, minutes in BUDGETS_MIN.items())
DESCRIPTION = f"""\
From meshes to a bundle: checks the meshes, proposes their symmetries, trains, measures on scenes that training never
drew, and writes a report with the best, usual and worst estimates.

examples:
  mrc-net onboard --mesh mug.glb drill.obj --output runs/kitchen --processes 2
  mrc-net onboard --mesh mug.glb --add-to demo/bundle --output runs/with_mug --budget quick --yes

With --add-to, the new objects get decoders of their own and the rest of the network is trained further, from the
bundle's weights; how good the old objects were before is measured too. With --init, training starts from a bundle's
weights too, but only the new objects are in the result: what the network sees helps with any object, so that this is
faster than a start from nothing.

Time: a --budget is {BUDGETS} minutes of training, about; a short trial tells how many
steps these are.

The output folder holds, in this order: objects.yaml and meshes/ (edit the symmetries before training starts, if need
be), symmetries/ (pictures to confirm), train.yaml, training/, bundle/, synthetic/, evaluation/, report.html and
calibration/. Ctrl-C interrupts anywhere; the same command goes on.
"""


def add_parser(commands: Any) -> None:
    """Adds the sub-command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "onboard",
        help="from meshes to a trained and measured bundle",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--mesh", nargs="+", metavar="FILE", help="ply, obj, glb or stl; the file's name is the class"
    )
    parser.add_argument(
        "--unit", choices=tuple(METRES_PER_UNIT), help="of the meshes; default: told by their sizes"
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="new, empty, or of an onboarding to go on with"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--add-to", metavar="BUNDLE", help="add the objects to this bundle's")
    start.add_argument(
        "--init", metavar="BUNDLE", help="start from this bundle's weights, without its objects"
    )
    parser.add_argument(
        "--origin",
        metavar="TEXT|FILE.yaml",
        help="where the meshes can be had, for those who get the bundle without them: of all, or a line `class: text` "
        "for each",
    )
    parser.add_argument(
        "--symmetries",
        default="proposed",
        metavar="none|proposed|FILE",
        help="of the new objects; FILE: an objects.yaml that has them; default proposed",
    )
    parser.add_argument(
        "--yes", action="store_true", help="take units and proposed symmetries without asking"
    )
    time = parser.add_mutually_exclusive_group()
    time.add_argument(
        "--budget", choices=tuple(BUDGETS_MIN), help="of training; default normal, with --config its steps"
    )
    time.add_argument("--minutes", type=float, metavar="N", help="of training, about")
    parser.add_argument(
        "--config", metavar="YAML", help="settings of training instead of the recommended ones"
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="that train, one a core or GPU; default 1"
    )
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: CUDA where present"
    )
    parser.add_argument(
        "--eval-instances",
        type=int,
        default=100,
        metavar="N",
        help="how often each object is seen in the scenes that measure, about; default %(default)s",
    )
    parser.add_argument(
        "--calibration-samples",
        type=int,
        default=150,
        metavar="N",
        help="scenes for each object that scores and covariances are fitted on; 0: none; default %(default)s",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Onboards; returns the exit status."""
    _check(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _Onboarding(arguments, console).run()
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(arguments: argparse.Namespace) -> None:
    """What would otherwise be noticed after hours."""
    require_matplotlib()
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise ValueError(f"--minutes must be more than 0, not {arguments.minutes}")
    for key in ("processes", "eval_instances"):
        if getattr(arguments, key) < 1:
            raise ValueError(f"--{key.replace('_', '-')} must be 1 or more, not {getattr(arguments, key)}")
    if 0 < arguments.calibration_samples < 120 or arguments.calibration_samples < 0:
        raise ValueError(f"--calibration-samples must be 0, or 120 or more, not {arguments.calibration_samples}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("no CUDA device is available to torch: use --device cpu")


class _Onboarding:
    """The stages, each of which leaves a marker."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self.arguments, self.console = arguments, console
        self.folder = Path(arguments.output)
        self.state = OnboardingState(self.folder)
        self.objects_file = self.folder / "objects.yaml"

    def run(self) -> int:
        self.take_meshes()
        self.take_symmetries()
        if not self.train():
            self.console.print("interrupted; the same command goes on from here")
            return INTERRUPTED
        self.evaluate()
        self.calibrate()
        return 0

    # ---- objects -----------------------------------------------------------------------------------------------------
    def take_meshes(self) -> None:
        given, state = self.arguments, self.state
        paths = [str(Path(p).resolve()) for p in given.mesh] if given.mesh else None
        start = {
            name: str(Path(value).resolve()) if value else None
            for name, value in (("add_to", given.add_to), ("init", given.init))
        }
        if not state.is_new:
            state.claim(mesh=paths, unit=given.unit, origin=given.origin, **start)
            paths = state.given("mesh")
            start = {name: state.given(name) for name in start}
        if state.facts("meshes") is None:
            if not paths:
                raise ValueError("--mesh is missing: which objects are to be onboarded?")
            check_choice(given.symmetries, given.yes)
            known = Bundle.load(start["add_to"]) if start["add_to"] else None
            init = Bundle.load(start["init"]) if start["init"] else None
            origin = state.given("origin") or given.origin
            meshes = read_meshes(paths, state.given("unit") or given.unit, origin)
            names = [one.class_id for one in meshes]
            base_config(given.config, known, names, init)  # what is wrong there is told now
            print_meshes(self.console, meshes)
            asks = given.unit is None and not given.yes and sys.stdin.isatty()
            if asks and not _agreed("are these sizes right?"):
                raise ValueError("then pass --unit m, cm, mm or in")
            state.claim(mesh=paths, unit=given.unit, origin=given.origin, **start)
            write_objects(self.folder, meshes, known, start["add_to"])
            state.finish("meshes", names)
        self.add_to, self.init = start["add_to"], start["init"]

    def take_symmetries(self) -> None:
        given = self.arguments
        if self.state.facts("symmetries") is not None:
            return
        check_choice(given.symmetries, given.yes)
        new = self.state.facts("meshes")
        objects = [item for item in load_objects(self.objects_file) if item.class_id in new]
        pictures = self.folder / "symmetries"
        chosen = choose_symmetries(self.console, objects, given.symmetries, given.yes, pictures)
        text = self.objects_file.read_text(encoding="utf-8")
        write_bytes(self.objects_file, with_symmetries(text, chosen).encode("utf-8"))
        self.state.finish("symmetries", {name: not one.is_trivial for name, one in chosen.items()})

    # ---- training ----------------------------------------------------------------------------------------------------
    def train(self) -> bool:
        """Whether training came to its end, now or before."""
        given, state = self.arguments, self.state
        objects = load_objects(self.objects_file)
        prints = {item.class_id: fingerprint(item) for item in objects}
        begun = state.facts("training_of")
        if begun is not None and begun != prints:
            raise ValueError(
                f"{self.objects_file} was changed after training had begun: undo that, or choose another --output"
            )
        if state.facts("training") is not None:
            self.console.print(f"training: done before, {state.facts('training')} steps")
            return True
        options = RunOptions(self.objects_file, given.processes, given.device, self.add_to or self.init)
        config = self.training_config(options)
        state.finish("training_of", prints)
        run_folder = self.folder / "training"
        done = steps_done(run_folder)
        if done < config.steps:
            run_training(options.argv(self.folder / "train.yaml", run_folder, done > 0), given.processes)
        if steps_done(run_folder) < config.steps:
            return False
        _copy_folder(run_folder / "bundle", self.folder / "bundle")
        state.finish("training", config.steps)
        return True

    def training_config(self, options: RunOptions) -> TrainConfig:
        """Settings in train.yaml, which is written the first time."""
        given, path = self.arguments, self.folder / "train.yaml"
        if path.is_file():
            if given.budget or given.minutes or given.config:
                self.console.print(f"training goes on with the settings in {path}", soft_wrap=True)
            return TrainConfig.load(path)
        known = Bundle.load(self.add_to) if self.add_to else None
        init = Bundle.load(self.init) if self.init else None
        config = base_config(given.config, known, self.state.facts("meshes"), init)
        if given.budget or given.minutes or not given.config:
            minutes = given.minutes or BUDGETS_MIN[given.budget or "normal"]
            speed = measure_speed(self.console, config, options, self.folder / "training_trial")
            config = for_time(config, minutes, speed, given.processes)
            self.console.print(f"{speed:.0f} samples/s: {config.steps} steps in about {minutes:g} minutes")
        write_config(path, config)
        return config

    # ---- accuracy ----------------------------------------------------------------------------------------------------
    def evaluate(self) -> None:
        given, bundle = self.arguments, self.folder / "bundle"
        now, earlier = self.folder / "evaluation", self.folder / "evaluation_before"
        if self.state.facts("evaluation") is None:
            scenes = self.folder / "synthetic"
            make_scenes(self.objects_file, scenes, len(load_objects(self.objects_file)), given.eval_instances)
            device = "cuda" if given.device != "cpu" and torch.cuda.is_available() else "cpu"
            if self.add_to:
                self.console.print("the old bundle on these scenes; it does not know the new objects")
                run_bundle(Path(self.add_to), scenes, earlier, device, report=False)
            self.console.print("the new bundle on these scenes")
            run_bundle(bundle, scenes, now, device, report=True)
            copy_report(now, self.folder / "report.html")
            self.state.finish("evaluation", True)
        before = read_rows(earlier / "instances.csv") if self.add_to else None
        print_accuracy(self.console, read_rows(now / "instances.csv"), before)
        self.console.print(f"bundle: {bundle}\nreport: {self.folder / 'report.html'}", soft_wrap=True)


    # ---- how sure it may be ------------------------------------------------------------------------------------------
    def calibrate(self) -> None:
        if self.state.facts("calibration") is not None:
            return
        samples = self.arguments.calibration_samples
        if samples:
            calibrate_bundle(self.folder / "bundle", self.folder / "calibration", samples, self.arguments.device)
        self.state.finish("calibration", samples)


def _agreed(question: str) -> bool:
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


def _copy_folder(source: Path, target: Path) -> None:
    """A copy of a folder that is whole or not there."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
