"""What a played bag leaves behind: summary.json, poses.csv and report.html."""

from __future__ import annotations

import base64
import csv
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_net_ros.bag_player import PlayedFrame
from mrc_net_ros.bag_scores import (
    MIN_VISIBLE,
    WITHIN_DIAMETERS,
    Judged,
    calibration_figures,
    recall,
    recall_by_visibility,
    scores_by_object,
)

CSV_COLUMNS = (
    ["frame", "stamp_ns", "class_id", "instance_id", "score", "detection_score"]
    + ["x_m", "y_m", "z_m", "qx", "qy", "qz", "qw"]
    + ["visible", "rotation_error_deg", "translation_error_mm", "add_mm", "right"]
)


@dataclass(frozen=True)
class PlayedBag:
    """All that came back from playing a bag."""

    played: Sequence[PlayedFrame]
    judged: Sequence[Judged]
    transforms: int


def summarise(bag: PlayedBag) -> dict[str, Any]:
    """The content of summary.json. ``frames`` counts those whose poses arrived, ``detections`` all that were sent.

    ``recall`` and ``objects`` are over the visible detections, with or without a pose; the medians over the poses.
    ``calibration`` is there where the bundle is calibrated, see `calibration_figures`.
    """
    latencies_ms = [1e3 * one.latency_s for one in bag.played if one.latency_s is not None]
    p50, p95 = (float(v) for v in np.percentile(latencies_ms, (50, 95))) if latencies_ms else (None, None)
    calibration = calibration_figures(bag.judged)
    return {
        "frames": sum(one.poses is not None for one in bag.played),
        "detections": sum(len(one.frame.detections.message.detections) for one in bag.played),
        "poses": sum(len(one.poses.poses) for one in bag.played if one.poses is not None),
        "transforms": bag.transforms,
        "latency_ms": {"p50": p50, "p95": p95},
        "recall": recall(bag.judged),
        "objects": scores_by_object(bag.judged),
        **({} if calibration is None else {"calibration": calibration}),
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Writes summary.json."""
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def write_poses_csv(path: Path, bag: PlayedBag) -> None:
    """Writes every pose that arrived, with its errors where there is ground truth."""
    errors_of = {(one.stamp_ns, one.class_id, one.instance_id): one for one in bag.judged}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(CSV_COLUMNS)
        for number, one in enumerate(bag.played):
            for pose in one.poses.poses if one.poses is not None else ():
                at, turn = pose.pose.pose.position, pose.pose.pose.orientation
                numbers = [pose.score, pose.detection_score, at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w]
                rows.writerow(
                    [number, one.frame.stamp_ns, pose.class_id, pose.instance_id]
                    + [f"{value:.6f}" for value in numbers]
                    + _error_cells(errors_of.get((one.frame.stamp_ns, pose.class_id, pose.instance_id)))
                )


def write_report(
    path: Path, bag: PlayedBag, summary: Mapping[str, Any], pictures: Sequence[NDArray[np.uint8]], title: str
) -> None:
    """Writes one self-contained page with the figures and some pictures (H, W, 3), RGB."""
    figures = "".join(f'<img src="{_data_url(picture)}" alt="estimated poses">' for picture in pictures)
    judged = sum(one.counts for one in bag.judged)
    path.write_text(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430 }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ padding: .3rem .9rem; border-bottom: 1px solid #d8dde5; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
.pictures {{ display: grid; grid-template-columns: 1fr 1fr; gap: .5rem }}
img {{ width: 100% }}
.note {{ color: #5a6475 }}
</style></head><body><h1>{html.escape(title)}</h1>
{_table(("", ""), headline_rows(bag, summary))}
<h2>By object</h2>
{_table(OBJECT_COLUMNS, object_rows(summary))}
<p class="note">Recall: the part of the {judged} detections with at least {MIN_VISIBLE:.0%} of the silhouette visible
whose pose has ADD (ADD-S for symmetric objects) below {WITHIN_DIAMETERS:g} of the diameter; a missing pose counts as
wrong. Errors are medians over the poses that arrived, to the nearest symmetric pose.</p>
<p class="note">Pace: the next image is sent once the poses of the last one have arrived, so that no frame is lost on
a slow machine. Latency: from publishing the image to receiving its poses, over DDS.</p>
<h2>Pictures</h2><div class="pictures">{figures}</div></body></html>
""",
        encoding="utf-8",
    )


OBJECT_COLUMNS = ("object", "detections", "recall", "rotation error (median)", "translation error (median)")


def headline_rows(bag: PlayedBag, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What came of the whole bag, as text: name and value."""
    latency = summary["latency_ms"]
    return [
        ("frames sent", str(len(bag.played))),
        ("frames answered", str(summary["frames"])),
        ("detections", str(summary["detections"])),
        ("poses", str(summary["poses"])),
        ("transforms", str(summary["transforms"])),
        ("latency p50", _text(latency["p50"], "{:.0f} ms")),
        ("latency p95", _text(latency["p95"], "{:.0f} ms")),
        (f"recall, ADD(-S) < {WITHIN_DIAMETERS:g} d", _text(summary["recall"], "{:.1%}")),
        *(
            (f"  {low:.0%} to {min(high, 1.0):.0%} visible", _text(part, "{:.1%}") + f" of {count}")
            for low, high, count, part in recall_by_visibility(bag.judged)
        ),
        *_calibration_rows(summary.get("calibration")),
    ]


def _calibration_rows(figures: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if figures is None:
        return []
    return [
        ("AUROC of the score", _text(figures["auroc"], "{:.3f}")),
        ("calibration error of the score (ECE)", _text(figures["ece"], "{:.3f}")),
        ("true poses within the 90 % region", _text(figures["in_90_percent_region"], "{:.1%}")),
    ]


def object_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The figures of each object as text, in the order of OBJECT_COLUMNS."""
    return [
        (
            name,
            str(scores["detections"]),
            _text(scores["recall"], "{:.1%}"),
            _text(scores["median_error_deg"], "{:.1f} deg"),
            _text(scores["median_error_mm"], "{:.1f} mm"),
        )
        for name, scores in summary["objects"].items()
    ]


def _text(value: float | None, template: str) -> str:
    return "-" if value is None else template.format(value)


def _error_cells(judged: Judged | None) -> list[str]:
    if judged is None or judged.errors is None:
        return ["", "", "", "", ""]
    errors = judged.errors
    numbers = (np.degrees(errors.rotation_rad), 1e3 * errors.translation_m, 1e3 * errors.add_m)
    return [f"{judged.visible:.3f}", *(f"{value:.3f}" for value in numbers), str(int(judged.is_right))]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _data_url(picture: NDArray[np.uint8]) -> str:
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not ok:
        raise RuntimeError("a picture could not be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
