"""The sections of a report that are charts and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from mrc_core.evaluation.instances import Instance
from mrc_core.evaluation.scores import by_object, recall_curves
from mrc_core.evaluation.summary import Summary, image_times
from mrc_core.reporting.charts import NAMED_CURVES, groups_chart, latency_chart, recall_chart
from mrc_core.reporting.confusions import (
    LARGE_FROM_DEG,
    LOOKS_ALIKE_BELOW,
    NEAR_DEG,
    OTHER,
    Confusion,
    find_confusions,
)
from mrc_core.reporting.grouping import FEW, by_quantity, by_visibility, view_map
from mrc_core.reporting.markup import Html, Row, Section, folded, note, number, swatch, table
from mrc_core.reporting.object_table import objects_table
from mrc_core.reporting.plotting import darker
from mrc_core.reporting.view_maps import view_maps_chart

REPEATED = 2  # estimates that make a confusion worth a line of its own


def recall_section(summary: Summary, colours: Mapping[int, str]) -> Section:
    """Recall against threshold, of all and of each object."""
    objects = summary.evaluation.objects
    groups = by_object(summary.hits)
    curves = {objects[i].name: recall_curves(hits) for i, hits in groups.items()} if len(groups) > 1 else {}
    named = {objects[i].name: darker(colours[i]) for i in groups} if len(groups) <= NAMED_CURVES else {}
    thin = "Thin lines are single objects. " if curves else ""
    text = (
        f"{thin}AR of an error is the mean of its ten points (of VSD: over tolerances, too). A pose is right if its "
        "error is below the threshold; matching is done anew at each threshold."
    )
    return Section(
        "recall",
        "Recall against threshold",
        recall_chart(summary.curves, curves, named, "recall") + note(text),
    )


def objects_section(summary: Summary, rows: Sequence[Instance], colours: Mapping[int, str]) -> Section:
    """The table by object."""
    text = (
        "Percent. AR is the mean of VSD, MSSD and MSPD. ADD(-S): recall below 0.1 diameters. AUC: exact area under "
        "accuracy over 0 to 10 cm; of all instances in the last row. AP: average precision of detection (BOP "
        "2024), the mean of the objects in the last row. Off by: medians over the instances with an estimate, from "
        "the nearest pose that is equivalent to the truth. The pale bars are 100."
    )
    return Section("objects", "By object", objects_table(summary, rows, colours) + note(text))


def conditions_section(rows: Sequence[Instance]) -> Section:
    """Recall and error by visibility, distance and view."""
    distance = [one.distance_m for one in rows]
    relative = [one.distance_m / one.diameter for one in rows]
    columns = [
        ("By visible part of the silhouette", "visible, %", by_visibility(rows)),
        ("By distance", "distance, m", by_quantity(rows, distance, "{:.2f}")),
        (
            "By distance in diameters",
            "distance, diameters of the object",
            by_quantity(rows, relative, "{:.1f}"),
        ),
    ]
    text = (
        "Above: ADD(-S) recall, missed instances counted as wrong. Below: median (point) and quartiles (bar) of "
        "MSSD over the instances with an estimate; the grey ground is the range of its thresholds, 5 to 50 %. "
        f"Groups by distance have equal numbers of instances. Pale bars: fewer than {FEW} instances."
    )
    names = {one.obj_id: one.name for one in sorted(rows, key=lambda one: one.obj_id)}
    maps = [(name, view_map([one for one in rows if one.obj_id == obj_id])) for obj_id, name in names.items()]
    views = (
        "The direction from the object to the camera in the object's own frame: azimuth from the x axis towards y, "
        "elevation towards z. A square is 30 by 30 degrees; its area tells how many instances were seen from there "
        "(of a full one, the number above the map), its colour their recall. About an axis of revolution the "
        "azimuth means nothing."
    )
    body = groups_chart(columns, "error by visibility and distance") + note(text)
    body += (
        "<h3>By the side that is seen</h3>"
        + view_maps_chart(maps, "recall by viewing direction")
        + note(views)
    )
    return Section("conditions", "What makes it hard", body)


def confusions_section(rows: Sequence[Instance], colours: Mapping[int, str]) -> Section:
    """Poses confused with near-symmetries; empty where no estimate is turned far."""
    found = find_confusions(rows)
    large = f"{LARGE_FROM_DEG:.0f} degrees"
    if not found:
        count = sum(one.est is not None for one in rows)
        return Section(
            "confusions",
            "Near-symmetries",
            note(f"None of the {count} estimates is turned by more than {large}."),
        )
    columns = ["object", "turned by", "estimates", "of the object's", "ADD-S (median)", "left over", ""]
    named = [one for one in found if one.remaining_deg is not None and one.count >= REPEATED]
    rest = [one for one in found if one not in named]

    def rows_of(groups: Sequence[Confusion]) -> list[Row]:
        return [_confusion_row(one, colours[one.obj_id]) for one in groups]

    text = (
        f"Estimates that are turned by more than {large} from the nearest pose equivalent to the truth under the "
        f"declared symmetries, grouped by the turn's axis (within {NEAR_DEG:.0f} degrees of x, y or z in the "
        f"object's own frame) and angle (within {NEAR_DEG:.0f} degrees). Left over: mean angle from the turn that "
        f"is named. Shapes look alike if the median ADD-S is below {LOOKS_ALIKE_BELOW:g} diameters: then colour "
        "alone, if anything, tells the poses apart, or a symmetry should be declared."
    )
    body = table(columns, rows_of(named), "full confusions") if named else ""
    if rest:
        count = sum(one.count for one in rest)
        title = (
            f"{count} more estimates that are turned far: single ones, or about other axes or by other angles"
        )
        body += folded(title, table(columns, rows_of(rest), "full confusions"))
    return Section("confusions", "Near-symmetries", body + note(text))


def _confusion_row(one: Confusion, colour: str) -> Row:
    return Row(
        [
            swatch(colour, one.name),
            Html(f"<b>{escape(describe_turn(one))}</b>"),
            str(one.count),
            number(100 * one.share, 1, " %"),
            number(100 * one.add_s, 1, " % of d"),
            number(one.remaining_deg, 1, "°"),
            "looks alike by shape" if one.looks_alike else "the shape tells them apart",
        ]
    )


def describe_turn(one: Confusion) -> str:
    """`180° about z`, in words where a group has no name."""
    angle = "another angle" if one.angle == OTHER else f"{one.angle}°"
    return f"{angle} about {'another axis' if one.axis == OTHER else one.axis}"


def latency_section(summary: Summary) -> Section:
    """Times of the images, or that they are unknown."""
    times = [value for value in image_times(summary.evaluation).values() if value >= 0]
    images = len(summary.evaluation.scored_images)
    if not times:
        return Section(
            "latency", "Time of an image", note("The result file tells no times (time is −1 on every line).")
        )
    p50, p95 = (float(v) for v in np.percentile(times, (50, 95)))
    figures = [
        ("median", p50),
        ("mean", float(np.mean(times))),
        ("95 % are within", p95),
        ("longest", max(times)),
    ]
    lines = [Row([name, number(1e3 * value, 0, " ms")]) for name, value in figures]
    lines.append(Row(["images with a time", f"{len(times)} of {images}"]))
    text = note("As the result file tells: seconds for the whole image, detection included.")
    side = table(["", ""], lines, "plain") + text
    body = f'<div class="beside"><div>{latency_chart(times, "latency")}</div><div>{side}</div></div>'
    return Section("latency", "Time of an image", body)
