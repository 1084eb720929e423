"""What `mrc-net evaluate` prints: problems, and the table of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mrc_core.evaluation.comparison import METRICS, Comparison, Difference
from mrc_core.evaluation.summary import Summary

MOST_PROBLEMS = 12  # that are printed; all of them are in scores.json


def print_problems(console: Console, problems: Sequence[str], is_complete: bool = True) -> None:
    """The first problems, one a line, and whether the figures compare with published ones."""
    for problem in problems[:MOST_PROBLEMS]:
        console.print(f"! {problem}", highlight=False, markup=False, soft_wrap=True)
    more = len(problems) - MOST_PROBLEMS
    if more > 0:
        console.print(f"! and {more} more problems, all of them in scores.json")
    if not is_complete:
        console.print("! not everything could be scored: these figures do not compare with published ones")


def print_scores(console: Console, summary: Summary) -> None:
    """Scores in percent, by object and in all; ADD(-S) under the first list of symmetric objects."""
    one = summary.evaluation
    symmetric = next(iter(summary.add))
    numbers = f"{summary.total.instances} instances, {len(one.scored_images)} images"
    title = f"{one.method} on {one.dataset_name}, {one.split}: {numbers}"
    table = Table(title=title, title_justify="left")
    table.add_column("object")
    for column in ("n", "AR", "VSD", "MSSD", "MSPD", "ADD(-S)", "AUC-S", "AUC(-S)", "AP"):
        table.add_column(column, justify="right")
    rows: list[tuple[str, Any, Any, Any]] = [
        (f"{i} {one.objects[i].name}", scores, summary.add[symmetric][i], summary.detection_objects.get(i))
        for i, scores in summary.objects.items()
    ]
    for name, scores, add, detection in rows:
        table.add_row(name, *_cells(scores, add.recall, scores.auc_add_s, add.auc, getattr(detection, "ap", None)))
    table.add_section()
    total = summary.add[symmetric]
    table.add_row(
        "all",
        *_cells(summary.total, total["all"].recall, summary.total.auc_add_s, total["all"].auc, summary.detection.ap),
        style="bold",
    )
    console.print(table)
    console.print("percent; VSD, MSSD, MSPD: average recalls; AUC-S of ADD-S, AUC(-S) of ADD(-S)", highlight=False)


def print_differences(console: Console, comparison: Comparison) -> None:
    """Each method against the first, in percentage points, with 95 % intervals."""
    names = {"ar": "AR", "ar_vsd": "AR_VSD", "ar_mssd": "AR_MSSD", "ar_mspd": "AR_MSPD", "recall_add(-s)": "ADD(-S)"}
    table = Table(
        title=f"difference to {comparison.names[0]}, percentage points (95 % interval, bootstrap over images)",
        title_justify="left",
    )
    table.add_column("method")
    for metric in METRICS:
        table.add_column(names[metric], justify="right")
    for method in comparison.names[1:]:
        row = comparison.of(method)
        table.add_row(method, *(_difference(row[metric]) for metric in METRICS))
    console.print(table)


def _difference(one: Difference) -> str:
    if one.difference is None:
        return "-"
    if one.low is None or one.high is None:
        return f"{100 * one.difference:+.1f}"
    return f"{100 * one.difference:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _cells(scores: Any, recall: float | None, auc_s: float | None, auc: float | None, ap: float | None) -> list[str]:
    parts = [scores.ar, scores.ar_vsd, scores.ar_mssd, scores.ar_mspd, recall, auc_s, auc, ap]
    return [str(scores.instances), *("-" if v is None else f"{100 * v:.1f}" for v in parts)]
