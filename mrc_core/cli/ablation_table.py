"""An ablation's table, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mrc_core.cli.ablation_statistics import OrderCheck, Spread
from mrc_core.data.atomic_files import write_bytes


@dataclass(frozen=True)
class Row:
    """A variant's figures.

    Attributes:
        same_as: the variant whose training and test it shares to the last bit, None for one of its own.
        spreads: by name of the figure, see `measure_accuracy`; None where it was not measured.
        ms: of one detection.
        paper: AR on T-LESS in percent, None where the paper has no such variant.
    """

    name: str
    what: str
    same_as: str | None
    spreads: dict[str, Spread | None]
    parameters: int
    ms: float
    samples_seen: int
    paper: float | None


def _percent(key: str) -> Callable[[Row], str]:
    return lambda row: _text(row.spreads[key], 1, 100)


def _plain(key: str) -> Callable[[Row], str]:
    return lambda row: _text(row.spreads[key], 1, 1)


def _text(value: Spread | None, digits: int, scale: float) -> str:
    return "-" if value is None else value.text(digits, scale)


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("variant", lambda row: row.name if row.same_as is None else f"{row.name} (= {row.same_as})"),
    ("ADD(-S) < 0.1 d, %", _percent("recall")),
    ("AR, %", _percent("ar")),
    ("AR_MSSD, %", _percent("ar_mssd")),
    ("AR_MSPD, %", _percent("ar_mspd")),
    ("rotation, deg", _plain("rotation_deg")),
    ("stage 1: rotation, deg", _plain("coarse_angle_deg")),
    ("stage 2: rotation, deg", _plain("refined_angle_deg")),
    ("stage 1: depth, %", _plain("coarse_depth_percent")),
    ("stage 2: depth, %", _plain("refined_depth_percent")),
    ("parameters, M", lambda row: f"{row.parameters / 1e6:.2f}"),
    ("ms a detection", lambda row: f"{row.ms:.1f}"),
    ("samples seen", lambda row: f"{row.samples_seen:,}"),
    ("paper: AR on T-LESS, %", lambda row: "-" if row.paper is None else f"{row.paper:.1f}"),
)


def legend(seeds: int, instances: int, timing: dict[str, Any]) -> list[str]:
    """How the table is to be read."""
    spread = {1: "of one seed: no spread is known", 2: "means of 2 seeds (smallest..largest)"}
    return [
        f"Figures are {spread.get(seeds, f'means of {seeds} seeds ± their standard deviation')}.",
        f"Scores and rotation: {instances} instances of one synthesized data set, the same for all. Stage 1 and 2: "
        "medians of each training's own validation samples, averaged weights.",
        f"Times: median of {timing['calls']} calls with one detection, one bundle after the other on "
        f"{timing['device']}, {timing['threads']} threads. The load average just before was {timing['load']} on "
        f"{timing['cores']} cores: what else was running made them longer.",
        "The paper's AR is of T-LESS, with its own network and budget: compare the order, not the figures.",
    ]


def order_lines(checks: Sequence[OrderCheck], measure: str) -> list[str]:
    """Where ours stand in the paper's order, by `measure`."""
    if not checks:
        return ["No two of these variants are in the paper's table."]
    return [f"Order by {measure}:", *(f"- {one.text()}" for one in checks)]


def write_tables(folder: Path, rows: Sequence[Row], notes: Sequence[str], order: Sequence[str]) -> None:
    """Writes table.md and table.csv; the CSV has numbers alone, one column for each mean and end of a spread."""
    lines = ["| " + " | ".join(heading for heading, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell(row) for _, cell in COLUMNS) + " |" for row in rows]
    what = [f"- {row.name}: {row.what}" for row in rows]
    text = "\n".join([*lines, "", *what, "", *(f"{note}  " for note in notes), "", *order]) + "\n"
    write_bytes(folder / "table.md", text.encode("utf-8"))
    records = [_record(row) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_bytes(folder / "table.csv", out.getvalue().encode("utf-8"))


def _record(row: Row) -> dict[str, Any]:
    out: dict[str, Any] = {"variant": row.name, "same_as": row.same_as or ""}
    for key, value in row.spreads.items():
        for part in ("mean", "low", "high", "std"):
            figure = None if value is None else getattr(value, part)
            out[key if part == "mean" else f"{key}_{part}"] = "" if figure is None else round(figure, 6)
    out |= {"parameters": row.parameters, "ms_per_detection": round(row.ms, 3), "samples_seen": row.samples_seen}
    return out | {"paper_ar_percent": "" if row.paper is None else row.paper}


def print_tables(console: Console, rows: Sequence[Row], notes: Sequence[str], order: Sequence[str]) -> None:
    """Prints the table, how to read it, and how the order compares."""
    table = Table(title="ablation", title_justify="left")
    for heading, _ in COLUMNS:
        table.add_column(heading, justify="left" if heading == "variant" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(cell(row) for _, cell in COLUMNS))
    console.print(table)
    for line in (*notes, *order):
        console.print(line, soft_wrap=True, markup=False)
