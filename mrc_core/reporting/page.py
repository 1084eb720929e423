"""The report of an evaluation: one page without scripts or links, and the same figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mrc_core.data.atomic_files import write_bytes, write_json
from mrc_core.data.bop_dataset import BopDataset
from mrc_core.evaluation.instances import Instance, write_instances_csv
from mrc_core.evaluation.summary import Summary
from mrc_core.reporting.cases import GAP_OF_DELTA
from mrc_core.reporting.markup import NOTHING, Section, folded, html, number, page, percent
from mrc_core.reporting.object_table import objects_csv
from mrc_core.reporting.outlines import MakeRenderer
from mrc_core.reporting.picture_sections import Choice, failures_section, ranked_section, whole_section
from mrc_core.reporting.pictures import Pictures, colours_of
from mrc_core.reporting.plotting import require_matplotlib
from mrc_core.reporting.published import published
from mrc_core.reporting.published_tables import headline_tables, ycbv_tables
from mrc_core.reporting.sections import (
    conditions_section,
    confusions_section,
    latency_section,
    objects_section,
    recall_section,
)

MOST_PROBLEMS = 8  # that are read without unfolding


def write_tables(folder: str | Path, summary: Summary, rows: Sequence[Instance]) -> None:
    """Writes scores.json, objects.csv and instances.csv; needs nothing but the library."""
    folder = Path(folder)
    write_json(folder / "scores.json", strict(summary.to_json()))
    write_bytes(folder / "objects.csv", objects_csv(summary).encode("utf-8"))
    write_instances_csv(folder / "instances.csv", rows)


def write_report(
    folder: str | Path,
    summary: Summary,
    rows: Sequence[Instance],
    dataset: BopDataset,
    make_renderer: MakeRenderer | None,
) -> Path:
    """Writes report.html, and before it the tables (see `write_tables`), which are there whatever happens to the page.

    Args:
        folder: made if need be.
        rows: `instances(summary)`.
        dataset: gives pictures and meshes.
        make_renderer: of meshes, for outlines; without one pictures are shown as they are, and the page says so.

    Returns:
        The page.

    Raises:
        RuntimeError: matplotlib is missing; the tables are written.
    """
    folder = Path(folder)
    write_tables(folder, summary, rows)
    require_matplotlib()
    path = folder / "report.html"
    write_bytes(path, report_page(summary, rows, dataset, make_renderer).encode("utf-8"))
    return path


def report_page(
    summary: Summary, rows: Sequence[Instance], dataset: BopDataset, make_renderer: MakeRenderer | None
) -> str:
    """The page; the same input gives the same text."""
    one = summary.evaluation
    colours = colours_of(one.objects)
    choice = Choice(rows, GAP_OF_DELTA * one.delta_m)
    pictures = Pictures(dataset, choice.shown, make_renderer)
    comparable = bool(published(one.dataset_name))
    beside = Section("published", "Beside published figures", headline_tables(summary))
    sections = [
        *([beside] if comparable else []),
        Section("ycbv", "YCB-V by object, beside the paper", ycbv_tables(summary)),
        recall_section(summary, colours),
        objects_section(summary, rows, colours),
        conditions_section(rows),
        confusions_section(rows, colours),
        latency_section(summary),
        whole_section(choice, pictures),
        ranked_section(choice, pictures),
        failures_section(choice, pictures),
        *([] if comparable else [beside]),
    ]
    header = _title(summary) + tiles(summary) + _facts(summary) + problems_box(summary, pictures.notes)
    return page(f"{one.method} on {one.dataset_name}", header, sections, FOOTER)


def _title(summary: Summary) -> str:
    one = summary.evaluation
    lead = (
        f"6-DoF object pose, split {one.split}: {summary.total.instances} instances of {len(summary.objects)} objects "
        f"in {len(one.scored_images)} images"
    )
    return f'<h1>{escape(one.method)} on {escape(one.dataset_name)}</h1><p class="lead">{escape(lead)}</p>'


def tiles(summary: Summary) -> str:
    """The headline figures, large."""
    total = summary.total
    recall = next(iter(summary.add.values()))["all"].recall
    seconds = summary.seconds_per_image
    items = [
        (percent(total.ar), "AR"),
        (percent(total.ar_vsd), "AR, VSD"),
        (percent(total.ar_mssd), "AR, MSSD"),
        (percent(total.ar_mspd), "AR, MSPD"),
        (percent(recall), "ADD(-S) < 0.1 d"),
        (percent(summary.detection.ap), "AP, detection"),
        (NOTHING if seconds is None else f"{seconds:.2f} s", "an image"),
    ]
    parts = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in items)
    return f'<div class="tiles">{parts.replace("tile", "tile first", 1)}</div>'


def _facts(summary: Summary) -> str:
    one = summary.evaluation
    name, symmetric = next(iter(summary.symmetric.items()))
    lists = {"declared": "those with a declared symmetry", "all": "all"}.get(name, f"list “{name}”")
    numbers = ", ".join(str(i) for i in sorted(symmetric) if i in summary.objects)
    vsd = (
        f"{1e3 * one.delta_m:g} mm" if summary.total.ar_vsd is not None else "not computed, so there is no AR"
    )
    facts = [
        ("Data set", f"{one.dataset_name}, {one.split}"),
        ("Method", one.method),
        ("Estimates", str(len(one.results))),
        ("VSD's tolerance δ", vsd),
        ("ADD-S is for", lists if name == "all" or not numbers else f"{lists}: {numbers}"),
        ("VSD over", f"{summary.total.vsd_instances} of {summary.total.instances} instances"),
    ]
    rows = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts)
    return f'<dl class="facts">{rows}</dl>'


def problems_box(summary: Summary, notes: Sequence[str] = (), who: str = "") -> str:
    """What is wrong with data, results or pictures, of a method if `who` names it; nothing if all is well."""
    one = summary.evaluation
    everything = [*one.problems, *dict.fromkeys(notes)]
    if one.is_complete and not everything:
        return ""
    title = f"{len(everything)} problem{'s' if len(everything) != 1 else ''}"
    incomplete = ""
    if not one.is_complete:
        title = "Not everything could be scored"
        left = f"{one.left_out} instances of the target list were left out. " if one.left_out else ""
        incomplete = f"<p>{left}These figures do not compare with published ones.</p>"
    first, rest = everything[:MOST_PROBLEMS], everything[MOST_PROBLEMS:]
    more = folded(f"{len(rest)} more", _list(rest)) if rest else ""
    heading = escape(f"{who}: {title}" if who else title)
    return f'<div class="problems"><h2>{heading}</h2>{incomplete}{_list(first)}{more}</div>'


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html(item)}</li>' for item in items)}</ul>" if items else ""


def strict(value: Any) -> Any:
    """JSON-able values without NaN or infinity, for which JSON has no word: they become null."""
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and number(value) == NOTHING else value


FOOTER = (
    "Errors, matching and averages as the BOP benchmark defines them; lengths are metres or millimetres, percent "
    "of 100. Beside this page: scores.json (every score, in all and by object), objects.csv, instances.csv (every "
    "instance with all its errors)."
)
