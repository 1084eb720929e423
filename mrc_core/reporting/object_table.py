"""Scores by object: a table with a small bar chart in every row, and the same as a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mrc_core.evaluation.average_precision import DetectionScores
from mrc_core.evaluation.instances import Instance
from mrc_core.evaluation.scores import Scores
from mrc_core.evaluation.summary import AddScores, Summary
from mrc_core.reporting.markup import NOTHING, Html, Row, number, percent, swatch, table
from mrc_core.reporting.plotting import KIND_COLOURS

_KINDS = ("vsd", "mssd", "mspd")
_NO_DETECTION = DetectionScores(None, None, None)


def objects_table(summary: Summary, rows: Sequence[Instance], colours: Mapping[int, str]) -> str:
    """All scores of each object and of all; `colours` by number."""
    one = summary.evaluation
    add = next(iter(summary.add.values()))
    lines = []
    for obj_id, scores in summary.objects.items():
        mine = [row for row in rows if row.obj_id == obj_id]
        detection = summary.detection_objects.get(obj_id, _NO_DETECTION)
        label = swatch(colours[obj_id], _name(obj_id, one.objects[obj_id].name))
        lines.append(Row(_cells(label, scores, add[obj_id], scores.auc_add_s, detection, mine)))
    total = _cells("all", summary.total, add["all"], summary.total.auc_add_s, summary.detection, rows)
    return table(_columns(), [*lines, Row(total, "total")], "full")


def _columns() -> list[str]:
    names = " ".join(f'<span style="color:{KIND_COLOURS[kind]}">{kind.upper()}</span>' for kind in _KINDS)
    head = [
        "object",
        Html("in-<br>stances"),
        Html(f"AR by error<br>{names}"),
        "AR",
        "VSD",
        "MSSD",
        "MSPD",
        "ADD(-S)",
    ]
    return [
        *head,
        Html("AUC<br>ADD-S"),
        Html("AUC<br>ADD(-S)"),
        "AP",
        Html("off by<br>(turn)"),
        Html("off by<br>(shift)"),
    ]


def _cells(
    label: str,
    scores: Scores,
    add: AddScores,
    auc_add_s: float | None,
    detection: DetectionScores,
    rows: Sequence[Instance],
) -> list[str]:
    parts = [scores.ar_vsd, scores.ar_mssd, scores.ar_mspd]
    rest = [add.recall, auc_add_s, add.auc, detection.ap]
    found = [row for row in rows if math.isfinite(row.rotation_rad)]
    turn = float(np.median([row.rotation_rad for row in found])) if found else None
    shift = float(np.median([row.translation_m for row in found])) if found else None
    errors = [
        NOTHING if turn is None else number(math.degrees(turn), 1, "°"),
        NOTHING if shift is None else number(1e3 * shift, 1, " mm"),
    ]
    figures = [percent(v) for v in (scores.ar, *parts, *rest)]
    return [label, str(scores.instances), part_bars(parts), *figures, *errors]


def part_bars(values: Sequence[float | None]) -> Html:
    """Three bars of VSD, MSSD and MSPD on pale ones of length 1."""
    bars = "".join(
        f'<rect y="{1 + 8.5 * i:g}" width="150" height="7" fill="#eceff4"/>'
        f'<rect y="{1 + 8.5 * i:g}" width="{150 * value:.1f}" height="7" fill="{KIND_COLOURS[kind]}"/>'
        for i, (kind, value) in enumerate(zip(_KINDS, values))
        if value is not None
    )
    text = ", ".join(f"{kind.upper()} {percent(value)}" for kind, value in zip(_KINDS, values))
    return Html(f'<svg class="bars" viewBox="0 0 150 26" role="img" aria-label="{text}">{bars}</svg>')


def _name(obj_id: int, name: str) -> str:
    return name if name == f"obj_{obj_id:06d}" else f"{obj_id} {name}"


def objects_csv(summary: Summary) -> str:
    """Scores of each object, and `all`, 0..1, one object a line; empty cells are unknown."""
    one = summary.evaluation
    lines: list[dict[str, Any]] = []
    everything: list[tuple[int | str, str, Scores, DetectionScores]] = [
        (i, one.objects[i].name, scores, summary.detection_objects.get(i, _NO_DETECTION))
        for i, scores in summary.objects.items()
    ]
    for key, object_name, scores, detection in [
        *everything,
        ("all", "all", summary.total, summary.detection),
    ]:
        line: dict[str, Any] = {"obj_id": key, "name": object_name, **asdict(scores), **asdict(detection)}
        for name, add in summary.add.items():
            line |= {f"{figure}_add(-s)_{name}": value for figure, value in asdict(add[key]).items()}
        lines.append(line)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(lines[-1]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in line.items()} for line in lines
    )
    return stream.getvalue()
