"""The page that holds methods side by side, and the same figures as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from mrc_core.data.atomic_files import write_bytes, write_json
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.evaluation.comparison import METRICS, Comparison, Difference
from mrc_core.evaluation.instances import Instance, instances
from mrc_core.evaluation.summary import Summary
from mrc_core.reporting.charts import recall_chart
from mrc_core.reporting.comparison_charts import METRIC_NAMES, forest_chart, method_colour
from mrc_core.reporting.disagreements import agreement, largest_disagreements
from mrc_core.reporting.markup import (
    NOTHING,
    Html,
    Row,
    Section,
    note,
    number,
    page,
    percent,
    points,
    swatch,
    table,
)
from mrc_core.reporting.outlines import MakeRenderer
from mrc_core.reporting.page import problems_box, strict
from mrc_core.reporting.picture_sections import AXES_LEGEND, NO_OUTLINES, errors_text
from mrc_core.reporting.pictures import Estimate, Pictures
from mrc_core.reporting.plotting import require_matplotlib

CASES = 8
MISSED_CASES = 4
MOST_PANELS = 3  # methods whose outlines stand side by side
# of outlines on pictures, by the method's place: the charts' hues, bright enough for any ground
OUTLINE_COLOURS = ("#4aa8ff", "#ffae42", "#3fe0b4", "#d98cff", "#ff6b7d", "#d0d6de")


def write_comparison(
    folder: str | Path,
    summaries: Sequence[Summary],
    comparison: Comparison,
    dataset: BopDataset | None = None,
    make_renderer: MakeRenderer | None = None,
) -> Path:
    """Writes comparison.json and comparison.csv, then comparison.html.

    Args:
        folder: made if need be.
        summaries: in the order of `comparison.names`.
        dataset: gives the pictures of what the methods differ in; none are shown without.
        make_renderer: of meshes, for outlines.

    Returns:
        The page.

    Raises:
        RuntimeError: matplotlib is missing; the other files are written.
    """
    folder = Path(folder)
    methods = [strict(one.to_json()) for one in summaries]
    write_json(folder / "comparison.json", {"methods": methods, **strict(comparison.to_json())})
    write_bytes(folder / "comparison.csv", comparison_csv(comparison).encode("utf-8"))
    require_matplotlib()
    path = folder / "comparison.html"
    write_bytes(path, comparison_page(summaries, comparison, dataset, make_renderer).encode("utf-8"))
    return path


def comparison_csv(comparison: Comparison) -> str:
    """Every difference, 0..1, one a line; `all` for all objects, empty where unknown."""
    lines: list[dict[str, Any]] = [asdict(one) for one in comparison.differences]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    for line in lines:
        line["obj_id"] = "all" if line["obj_id"] is None else line["obj_id"]
        writer.writerow({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in line.items()})
    return stream.getvalue()


def comparison_page(
    summaries: Sequence[Summary],
    comparison: Comparison,
    dataset: BopDataset | None = None,
    make_renderer: MakeRenderer | None = None,
) -> str:
    """The page; the same input gives the same text."""
    rows = [instances(one) for one in summaries]
    first = summaries[0].evaluation
    names = comparison.names
    curves = {name: one.curves for name, one in zip(names, summaries)}
    colours = {name: method_colour(i) for i, name in enumerate(names)}
    sections = [
        Section("scores", "Scores", _scores_table(summaries, names) + _agreement_table(names, rows)),
        Section("differences", f"Differences to {names[0]}", _differences(summaries, comparison)),
        Section(
            "recall", "Recall against threshold", recall_chart({}, curves, colours, "recall of the methods")
        ),
        _pictures_section(names, rows, dataset, make_renderer),
    ]
    title = " · ".join(names)
    lead = (
        f"{len(names)} methods on {first.dataset_name}, split {first.split}: the same {comparison.instances} "
        f"instances in {comparison.images} images"
    )
    header = f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>'
    for name, one in zip(names, summaries):
        header += problems_box(one, who=name)
    return page(f"{title} on {first.dataset_name}", header, sections, FOOTER)


def _scores_table(summaries: Sequence[Summary], names: Sequence[str]) -> str:
    columns = [
        "method",
        "AR",
        "AR_VSD",
        "AR_MSSD",
        "AR_MSPD",
        "ADD(-S)",
        "AUC ADD-S",
        "AUC ADD(-S)",
        "AP",
        "s an image",
    ]
    rows = []
    for i, (name, one) in enumerate(zip(names, summaries)):
        total, add = one.total, next(iter(one.add.values()))["all"]
        figures = [total.ar, total.ar_vsd, total.ar_mssd, total.ar_mspd, add.recall, total.auc_add_s, add.auc]
        cells = [swatch(method_colour(i), name), *map(percent, [*figures, one.detection.ap])]
        rows.append(Row([*cells, number(one.seconds_per_image, 2)]))
    return table(columns, rows, "full") + note(
        "Percent, over all instances together; AP is a mean over the objects. ADD(-S): recall below 0.1 diameters."
    )


def _agreement_table(names: Sequence[str], rows: Sequence[Sequence[Instance]]) -> str:
    columns = ["right by ADD(-S)", "both", f"{names[0]} alone", "the other alone", "neither"]
    lines = []
    for name, mine in zip(names[1:], rows[1:]):
        one = agreement(rows[0], mine)
        counts = (one.both, one.first_alone, one.second_alone, one.neither)
        lines.append(Row([f"{names[0]} and {name}", *map(str, counts)]))
    return table(columns, lines)


def _differences(summaries: Sequence[Summary], comparison: Comparison) -> str:
    others = comparison.names[1:]
    objects = summaries[0].evaluation.objects
    total = {name: comparison.of(name) for name in others}
    known = [m for m in METRICS if any(total[name][m].difference is not None for name in others)]
    by_metric = [(METRIC_NAMES[m], [total[name][m] for name in others]) for m in known]
    main = known[0]
    by_object = [
        (objects[i].name, [comparison.of(name, i)[main] for name in others]) for i in summaries[0].objects
    ]
    panels = [("All objects", by_metric), (f"{METRIC_NAMES[main]} by object", by_object)]
    body = forest_chart(panels, "differences with intervals")
    body += note(
        f"Percentage points to {comparison.names[0]}, with 95 % intervals: {comparison.samples} times the "
        f"{comparison.images} images were drawn anew, with replacement, the same ones for all methods. Full points: "
        "the interval leaves zero out. One interval in twenty does so by chance; look at several objects with that "
        "in mind."
    )
    for i, name in enumerate(others, start=1):
        rows = [
            _difference_row(objects[obj_id].name, comparison.of(name, obj_id), known)
            for obj_id in summaries[0].objects
        ]
        rows.append(_difference_row("all", total[name], known, "total"))
        heads = [Html(f"{METRIC_NAMES[m]}<br>[95 %]") for m in known]
        body += (
            f"<h3>{swatch(method_colour(i), name)} <small>against {escape(comparison.names[0])}</small></h3>"
        )
        body += table(["object", "images", *heads], rows, "full")
    return body


def _difference_row(
    label: str, differences: dict[str, Difference], metrics: Sequence[str], kind: str = ""
) -> Row:
    images = next(iter(differences.values())).images
    return Row([label, str(images), *(_difference_cell(differences[m]) for m in metrics)], kind)


def _difference_cell(one: Difference) -> Html:
    text = f"<b>{points(one.difference)}</b>" if one.is_clear else points(one.difference)
    if one.is_clear and one.difference is not None:
        text = f'<span class="{"better" if one.difference > 0 else "worse"}">{text}</span>'
    interval = f"[{points(one.low)}, {points(one.high)}]" if one.low is not None else f"[{NOTHING}]"
    return Html(f'{text} <span class="interval">{interval}</span>')


def _pictures_section(
    names: Sequence[str],
    rows: Sequence[Sequence[Instance]],
    dataset: BopDataset | None,
    make_renderer: MakeRenderer | None,
) -> Section:
    both = largest_disagreements(rows, CASES, missed=False)
    one_alone = largest_disagreements(rows, MISSED_CASES, missed=True)
    if dataset is None or not both + one_alone:
        return Section("pictures", "Where they differ most", "")
    pictures = Pictures(dataset, [group[0] for group in both + one_alone], make_renderer)
    shown = names[:MOST_PANELS]
    order = ", ".join(["the picture", *shown])
    legend = f"From left to right: {order}; white dashed lines are the truth. {AXES_LEGEND}"
    body = note(
        "The instances with the largest range of MSSD in diameters; errors above one diameter, and missing estimates, "
        f"count as one. {legend if pictures.has_outlines else NO_OUTLINES}"
    )
    for title, chosen in (("All have an estimate", both), ("One has none", one_alone)):
        if chosen:
            body += f"<h3>{title}</h3>{_gallery(names, chosen, pictures)}"
    body += "".join(note(remark) for remark in dict.fromkeys(pictures.notes))
    return Section("pictures", "Where they differ most", body)


def _gallery(names: Sequence[str], chosen: Sequence[Sequence[Instance]], pictures: Pictures) -> str:
    cards = []
    for group in chosen:
        estimates = [
            Estimate(one.est, OUTLINE_COLOURS[i % len(OUTLINE_COLOURS)], name)
            for i, (one, name) in enumerate(zip(group[:MOST_PANELS], names))
        ]
        panels = pictures.compared(group[0], estimates)
        if not panels:
            continue
        first = group[0]
        head = (
            f"<b>{escape(first.name)}</b> scene {first.scene_id}, image {first.image_id} · "
            f"{100 * first.visible:.0f} % visible"
        )
        errors = "".join(
            f"<br>{swatch(OUTLINE_COLOURS[i % len(OUTLINE_COLOURS)], name)}: {escape(errors_text(one, short=True))}"
            for i, (one, name) in enumerate(zip(group, names))
        )
        cards.append(
            f'<figure><div class="panels">{panels}</div><figcaption>{head}{errors}</figcaption></figure>'
        )
    return f'<div class="cases">{"".join(cards)}</div>'


FOOTER = (
    "Scores as the BOP benchmark defines them. Beside this page: comparison.json (all scores of all methods, all "
    "differences), comparison.csv (the differences)."
)
