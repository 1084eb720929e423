"""The sections of a report that are pictures: whole images, best, median and worst instances, failures by cause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from mrc_core.evaluation.instances import Instance
from mrc_core.evaluation.target_errors import ADD_THRESHOLD
from mrc_core.reporting.cases import (
    CAUSES,
    FLIP_FROM_DEG,
    OCCLUDED_BELOW,
    SAME_PLACE_WITHIN,
    best_median_worst,
    failures,
    spread_images,
    take_turns,
)
from mrc_core.reporting.markup import Html, Row, Section, note, number, table
from mrc_core.reporting.pictures import Pictures

CASES_EACH = 4
FAILURES_EACH = 4
WHOLE_PICTURES = 6
LEGEND = (
    "Strong lines in the object's colour: the estimate; white dashed lines: the truth. Outlines are of the whole "
    "object, also of what others hide."
)
AXES_LEGEND = "Axes: x red, y green, z blue, dashed for the truth. d is the object's diameter."
NO_OUTLINES = "Pictures are shown without outlines: no renderer was given."


class Choice:
    """Which instances and images the pictures show, chosen once, so that only their meshes are loaded."""

    def __init__(self, rows: Sequence[Instance], gap_limit_m: float) -> None:
        self.gap_limit_m = gap_limit_m
        self.ranked = best_median_worst(rows, CASES_EACH)
        self.failures = failures(rows, gap_limit_m)
        self.shown_failures = {
            cause: take_turns(mine, FAILURES_EACH) for cause, mine in self.failures.items()
        }
        self.whole = spread_images(rows, WHOLE_PICTURES)

    @property
    def shown(self) -> list[Instance]:
        """Every instance that is in some picture."""
        groups = [*self.ranked.values(), *self.shown_failures.values(), *self.whole]
        return [one for group in groups for one in group]


def ranked_section(choice: Choice, pictures: Pictures) -> Section:
    """Best, median and worst instances."""
    if not any(choice.ranked.values()):
        return Section("cases", "Best, median, worst", "")
    body = note(
        "By MSSD over the object's diameter, among the instances with an estimate. From left to right: the "
        f"picture, the outlines, the model in the estimated pose. {LEGEND} {AXES_LEGEND}"
        if pictures.has_outlines
        else f"By MSSD over the object's diameter, among the instances with an estimate. {NO_OUTLINES}"
    )
    for name, mine in choice.ranked.items():
        if mine:
            body += f"<h3>{name.capitalize()}</h3>{gallery(mine, pictures)}"
    return Section("cases", "Best, median, worst", body)


def whole_section(choice: Choice, pictures: Pictures) -> Section:
    """Whole images from the best to the worst."""
    body = ""
    for rows in choice.whole:
        right = sum(one.is_right for one in rows)
        first = rows[0]
        caption = f"<b>Scene {first.scene_id}, image {first.image_id}</b> · {right} of {len(rows)} right"
        panels = pictures.whole(rows)
        shown = f'<div class="panels">{panels}</div>' if panels else _missing(first)
        body += f'<figure class="whole">{shown}<figcaption>{caption}</figcaption></figure>'
    text = (
        f"{LEGEND} ✗ marks wrong poses: ADD(-S) of {ADD_THRESHOLD:g} diameters or more. At even steps from the "
        "image with the largest share of right poses to the one with the smallest; only instances that were to be "
        "found are drawn."
        if pictures.has_outlines
        else f"From the image with the largest share of right poses to the one with the smallest. {NO_OUTLINES}"
    )
    return Section("pictures", "Whole pictures", note(text) + body if body else "")


def failures_section(choice: Choice, pictures: Pictures) -> Section:
    """How many instances are wrong for what cause, with some of each."""
    total = sum(map(len, choice.failures.values()))
    if not total:
        return Section(
            "failures", "Failures by cause", note("There are none: every instance is right by ADD(-S).")
        )
    rules = _rules(choice.gap_limit_m)
    columns = ["cause", "instances", "of all failures", "rule"]
    rows = [
        Row([Html(f"<b>{cause}</b>"), str(len(mine)), number(100 * len(mine) / total, 1, " %"), rules[cause]])
        for cause, mine in choice.failures.items()
    ]
    body = table(columns, rows, "words causes") + note(
        f"A failure is an instance without a pose of ADD(-S) below {ADD_THRESHOLD:g} diameters. The first rule that "
        "holds names the cause. Shown are the most visible ones of each, objects taking turns."
    )
    for cause, mine in choice.shown_failures.items():
        if mine:
            count = len(choice.failures[cause])
            body += f"<h3>{cause.capitalize()} <small>{len(mine)} of {count}</small></h3>{gallery(mine, pictures)}"
    return Section("failures", "Failures by cause", body)


def _rules(gap_limit_m: float) -> Mapping[str, str]:
    rules = (
        "no estimate is left for it",
        f"less than {100 * OCCLUDED_BELOW:.0f} % of the silhouette is visible",
        f"turned by more than {FLIP_FROM_DEG:.0f}°, but in the right place: its origin or its surface (ADD-S) is "
        f"within {SAME_PLACE_WITHIN:g} diameters",
        f"at the true pose the depth picture lies further than {1e3 * gap_limit_m:.1f} mm from the model's visible "
        "surface, on average: model, truth or depth is not exact",
        "none of these",
    )
    return dict(zip(CAUSES, rules))


def gallery(rows: Sequence[Instance], pictures: Pictures) -> str:
    """Instances two a line, each with its figures."""
    cards = []
    for one in rows:
        panels = pictures.case(one)
        shown = f'<div class="panels">{panels}</div>' if panels else _missing(one)
        cards.append(f"<figure>{shown}<figcaption>{caption(one)}</figcaption></figure>")
    return f'<div class="cases">{"".join(cards)}</div>'


def caption(one: Instance) -> str:
    """What an instance is, and its errors."""
    head = f"<b>{escape(one.name)}</b> scene {one.scene_id}, image {one.image_id} · {100 * one.visible:.0f} % visible"
    return f"{head}<br>{errors_text(one)}"


def errors_text(one: Instance, short: bool = False) -> str:
    """The errors of an instance in one line; a short one leaves out those in pixels."""
    if one.est is None:
        return "no estimate"
    parts = [
        f"MSSD {100 * one.mssd / one.diameter:.1f} % of d ({1e3 * one.mssd:.1f} mm)",
        f"MSPD {one.mspd:.1f} px",
        f"turn {math.degrees(one.rotation_rad):.1f}°",
        f"shift {1e3 * one.translation_m:.1f} mm",
    ]
    if short:
        del parts[1]
    return " · ".join(part.replace(" ", "\u00a0") for part in parts)  # lines break between figures alone


def _missing(one: Instance) -> str:
    return f'<div class="missing">The picture of scene {one.scene_id}, image {one.image_id} cannot be read.</div>'
