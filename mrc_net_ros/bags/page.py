"""The report of an evaluated bag: one page with all figures and some pictures, without scripts or links to the net."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2

from mrc_core.data.atomic_files import write_bytes
from mrc_core.reporting.markup import Row, Section, note, number, page, percent, table
from mrc_net_ros.bags.records import STAGES
from mrc_net_ros.bags.video import Picture

TILE_WIDTH_PX = 560


def write_page(
    path: Path,
    summary: Mapping[str, Any],
    timing: Mapping[str, Any],
    stills: Sequence[Picture],
    video: str | None,
) -> None:
    """Writes report.html.

    Args:
        path: of the page.
        summary: see ``figures.summarise``.
        timing: the content of timing.json.
        stills: pictures (H, W, 3), RGB.
        video: name of the video beside the page.
    """
    sections = [
        Section("objects", "Errors by object", _objects(summary)),
        Section("visibility", "By visible share", _visibility(summary)),
        Section("jitter", "Jitter and identities", _jitter(summary)),
        Section("frames", "Frames and what was left out", _frames(summary)),
        Section("latency", "Time", _latency(timing)),
        Section("pictures", "Pictures", _pictures(stills, video)),
    ]
    footer = "Made by evaluate_bag. The same bag and bundle give the same figures; only times differ."
    text = page(f"Bag {timing['run']['bag_name']}", _header(summary, timing), sections, footer)
    write_bytes(path, text.encode("utf-8"))


def tiles(summary: Mapping[str, Any], timing: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headline: name and value."""
    everything = summary["errors"]["all"]
    trembling = summary["jitter"]["against_truth"]
    if trembling["changes"] == 0:
        trembling = summary["jitter"]["second_difference"]
    stage = next((s for s in ("stamp_to_poses", "frame") if s in timing["latency"]), None)
    times = timing["latency"][stage] if stage else {"p50_ms": None, "p95_ms": None}
    lost = summary["frames"]["selected"] - summary["frames"]["answered"]
    return [
        (
            f"recall, ADD(-S) < {summary['errors']['threshold_diameters']:g} d, %",
            percent(everything["recall"]),
        ),
        ("rotation error, median", number(everything["rotation_error_deg"]["median"], 1, "°")),
        ("translation error, median", number(everything["translation_error_mm"]["median"], 1, " mm")),
        (
            "jitter",
            f"{number(trembling['position_mm'], 1, ' mm')}, {number(trembling['rotation_deg'], 1, '°')}",
        ),
        ("latency p50, p95", f"{number(times['p50_ms'], 0)}, {number(times['p95_ms'], 0, ' ms')}"),
        ("images without poses", f"{lost} of {summary['frames']['selected']}"),
    ]


def _header(summary: Mapping[str, Any], timing: Mapping[str, Any]) -> str:
    run, evaluated = timing["run"], summary["evaluated"]
    shown = "".join(
        f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>'
        for k, v in tiles(summary, timing)
    )
    facts = [
        ("ground truth", evaluated["ground_truth"]),
        ("images", f"{evaluated['topics']['image']}"),
        ("bundle", run["bundle"]),
        ("mode", evaluated["mode"]),
        ("parameters", ", ".join(f"{k}: {v}" for k, v in sorted(evaluated["parameters"].items()))),
        ("selection", _selection(evaluated["selection"])),
    ]
    listed = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in facts)
    return f"<h1>Bag {escape(run['bag_name'])}</h1><div class='tiles'>{shown}</div><dl class='facts'>{listed}</dl>"


def _selection(chosen: Mapping[str, Any]) -> str:
    """What was taken of the bag, in words."""
    parts = []
    if chosen["start_s"]:
        parts.append(f"from {chosen['start_s']:g} s")
    if chosen["duration_s"] is not None:
        parts.append(f"for {chosen['duration_s']:g} s")
    if chosen["every"] > 1:
        parts.append(f"one of {chosen['every']} images")
    if chosen["most"] is not None:
        parts.append(f"at most {chosen['most']} images")
    if chosen["detections_every"] > 1:
        parts.append(f"one of {chosen['detections_every']} messages of detections")
    return ", ".join(parts) or "the whole bag"


OBJECT_COLUMNS = (
    "object",
    "true objects",
    "not detected",
    "judged",
    "recall, %",
    "rotation, median °",
    "p90 °",
    "translation, median mm",
    "p90 mm",
)


def object_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The figures by object, and of all, in the order of OBJECT_COLUMNS."""
    named = [*summary["errors"]["by_object"].items(), ("all", summary["errors"]["all"])]
    return [_score_cells(name, one) for name, one in named]


def _score_cells(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    turned, shifted = one["rotation_error_deg"], one["translation_error_mm"]
    return (
        name,
        str(one["true_objects"]),
        str(one["not_detected"]),
        str(one["judged"]),
        percent(one["recall"]),
        number(turned["median"]),
        number(turned["p90"]),
        number(shifted["median"]),
        number(shifted["p90"]),
    )


def _objects(summary: Mapping[str, Any]) -> str:
    if not summary["errors"]["by_object"]:
        return note("No ground truth, so no errors: name one with --gt.")
    rows = [Row(cells, "total" if cells[0] == "all" else "") for cells in object_rows(summary)]
    text = (
        "Judged: true objects of answered frames that have a detection and, where the visible share is known, at least "
        f"{summary['errors']['least_visible']:.0%} of it. Recall: the share of them whose pose has ADD (ADD-S for "
        f"symmetric objects) below {summary['errors']['threshold_diameters']:g} of the diameter; a missing pose is "
        "wrong. Errors are of the poses that came, to the nearest symmetric pose."
    )
    return table(OBJECT_COLUMNS, rows) + note(text)


def _visibility(summary: Mapping[str, Any]) -> str:
    bands = summary["errors"]["by_visibility"]
    if not bands:
        return ""
    rows = [Row(_score_cells(f"{band['from']:.0%} to {band['to']:.0%}", band)) for band in bands]
    return table(("visible", *OBJECT_COLUMNS[1:]), rows)


def _jitter(summary: Mapping[str, Any]) -> str:
    rows = [
        Row(
            (
                name,
                str(one["frames"]),
                str(one["poses"]),
                number(one["jitter"]["position_mm"]),
                number(one["jitter"]["rotation_deg"]),
                str(one["id_switches"]),
            )
        )
        for name, one in summary["instances"].items()
    ]
    known = (
        table(("true object", "frames", "poses", "jitter, mm", "jitter, °", "id switches"), rows)
        if rows
        else ""
    )
    published = [
        Row((name, str(one["changes"]), number(one["position_mm"]), number(one["rotation_deg"])))
        for name, one in summary["jitter"]["second_difference_by_published_instance"].items()
    ]
    text = (
        "Against the truth: root mean square of the change of the estimation error from one frame to the next of "
        "the judged objects, in the "
        "true object's frame. Second difference: root mean square over three successive frames of one published "
        "instance, divided by √3, so that independent noise gives the same figure; it needs no truth, and counts "
        "acceleration as jitter. An id switch is a true object whose published instance id is not the one before."
    )
    without = (
        table(("published instance", "changes", "second difference, mm", "°"), published) if published else ""
    )
    return known + without + note(text)


def _frames(summary: Mapping[str, Any]) -> str:
    frames = summary["frames"]
    named = [
        ("images read", frames["images_read"]),
        ("selected", frames["selected"]),
        ("joined with detections and camera info", frames["joined"]),
        ("answered with poses", frames["answered"]),
        ("of these with a ground truth", frames["with_ground_truth"]),
        ("detections in answered frames", summary["detections"]["in_answered_frames"]),
        ("poses", summary["poses"]["count"]),
        ("poses that belong to no true object", summary["poses"]["without_true_object"]),
    ]
    rows = [Row((name, "–" if value is None else str(value))) for name, value in named]
    reasons = [
        *((f"image not joined: {why}", n) for why, n in frames["not_joined"].items()),
        *((f"image without an answer: {why}", n) for why, n in frames["not_answered"].items()),
        *(
            (f"left out: {one['example']}", one["count"])
            for one in summary["detections"]["left_out"].values()
        ),
        *(
            (f"true objects of the class {name}, which the bundle has not", n)
            for name, n in summary["errors"]["unknown_classes"].items()
        ),
    ]
    lost = table(("reason", "times"), [Row((why, str(n))) for why, n in reasons], "words") if reasons else ""
    return table(("", ""), rows) + lost


def _latency(timing: Mapping[str, Any]) -> str:
    rows = [
        Row((STAGES.get(stage, stage), *(number(one[key], 1) for key in ("p50_ms", "p95_ms", "max_ms"))))
        for stage, one in timing["latency"].items()
    ]
    if timing["times_real_time"] is None:
        pace = "Played through live topics; images that came while the node was busy have no poses."
    else:
        pace = (
            f"{timing['frames_s']:.1f} s ({timing['cpu_s']:.1f} s of processor time) for {timing['recorded_s']:.1f} s "
            f"of recording: {number(timing['times_real_time'], 2)} times real time, pictures not counted."
        )
    return (table(("stage", "p50 ms", "p95 ms", "max ms"), rows) if rows else "") + note(pace)


def _pictures(stills: Sequence[Picture], video: str | None) -> str:
    if not stills:
        return ""
    link = f'<p><a href="{escape(video)}">{escape(video)}</a></p>' if video else ""
    return link + f'<div class="cases">{"".join(_figure(still) for still in stills)}</div>'


def _figure(picture: Picture) -> str:
    height_px = round(picture.shape[0] * TILE_WIDTH_PX / picture.shape[1])
    small = cv2.resize(picture, (TILE_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not ok:
        raise RuntimeError("a picture could not be written as JPEG")
    encoded = base64.b64encode(data.tobytes()).decode("ascii")
    return f'<figure><img style="width:100%" src="data:image/jpeg;base64,{encoded}" alt="estimated poses"></figure>'
