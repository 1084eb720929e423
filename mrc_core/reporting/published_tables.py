"""Our figures beside published ones: the headline rows, and YCB-V's two tables by object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from mrc_core.evaluation.summary import Summary
from mrc_core.reporting.markup import NOTHING, Html, Row, folded, html, note, number, percent, table
from mrc_core.reporting.published import MEAN, SOURCE, published_by_object, published_means

_COLUMNS = {
    "ar": "AR",
    "ar_vsd": "AR_VSD",
    "ar_mssd": "AR_MSSD",
    "ar_mspd": "AR_MSPD",
    "auc_add_s": "AUC ADD-S",
    "auc_add(-s)": "AUC ADD(-S)",
    "recall_add(-s)": "ADD(-S)",
}
_TITLES = {"tless": "T-LESS, trained on synthetic images", "ycbv": "YCB-V, means of the objects"}


def headline_tables(summary: Summary) -> str:
    """Published rows with ours among them where the data set is theirs, else folded away."""
    name = summary.evaluation.dataset_name
    source = f"Published rows: {SOURCE}; percent, as printed."
    if name in _TITLES:
        remark = " AUC and ADD(-S) are means of the objects' figures, as in the published tables."
        return _headline(name, _our_rows(summary)) + note(source + (remark if name == "ycbv" else ""))
    body = "".join(f"<h3>{title}</h3>{_headline(key, [])}" for key, title in _TITLES.items())
    text = "Published figures of MRC-Net and others on other data sets, for orientation alone"
    return folded(
        text,
        body + note(source + " Other objects, other images: they do not compare with the figures above."),
    )


def _headline(name: str, ours: list[tuple[str, Mapping[str, float | None]]]) -> str:
    means = published_means(name)
    columns = [key for key in _COLUMNS if any(key in figures for figures in means.values())]
    rows = [
        Row([method, *(number(figures.get(key)) for key in columns)]) for method, figures in means.items()
    ]
    rows += [Row([label, *(percent(figures.get(key)) for key in columns)], "ours") for label, figures in ours]
    return table(["method", *(_COLUMNS[key] for key in columns)], rows)


def _our_rows(summary: Summary) -> list[tuple[str, Mapping[str, float | None]]]:
    total, method = summary.total, summary.evaluation.method
    bop: dict[str, float | None] = {
        key: getattr(total, key) for key in ("ar", "ar_vsd", "ar_mssd", "ar_mspd")
    }
    bop["auc_add_s"] = _mean_auc_add_s(summary)
    return [
        (
            f"{method}, this evaluation" + (f" (symmetric: {name})" if len(summary.add) > 1 else ""),
            {**bop, "auc_add(-s)": add["mean"].auc, "recall_add(-s)": add["mean"].recall},
        )
        for name, add in summary.add.items()
    ]


def _mean_auc_add_s(summary: Summary, right_end: bool = False) -> float | None:
    key = "auc_add_s_right_end" if right_end else "auc_add_s"
    values = [v for v in (getattr(one, key) for one in summary.objects.values()) if v is not None]
    return sum(values) / len(values) if values else None


def ycbv_tables(summary: Summary) -> str:
    """The two tables of the paper's supplementary material with our columns. Empty for other data sets."""
    if summary.evaluation.dataset_name != "ycbv":
        return ""
    lists = "; ".join(
        f"{mark} symmetric in the list {name}: {', '.join(map(str, sorted(summary.symmetric[name])))}"
        for name, mark in zip(summary.symmetric, "*†")
    )
    remark = (
        f"{lists}. The published rows do not all use the same list (MRC-Net's two AUCs agree for 002, 025 and 040), "
        "so ours is given under both. It is the exact area under accuracy over 0 to 10 cm; [in brackets] the YCB-Video "
        "toolbox's rule, which takes the accuracy at the right end of each step and gives up to 1/n more. A missing "
        "estimate counts as infinitely far."
    )
    return (
        "<h3>Area under the curve of ADD-S and ADD(-S) by object, percent</h3>"
        + _auc_table(summary)
        + note(remark)
        + "<h3>ADD(-S) recall by object, below 0.1 diameters, percent</h3>"
        + _recall_table(summary)
        + note(f"Published rows: {SOURCE}.")
    )


def _auc_table(summary: Summary) -> str:
    add_s, add = (published_by_object("ycbv", key) for key in ("auc_add_s", "auc_add(-s)"))
    lists = list(summary.add)
    head = "".join(f'<th colspan="2">{_in_two_lines(method)}</th>' for method in add_s)
    method = escape(summary.evaluation.method)
    head += f'<th colspan="{1 + len(lists)}"><span class="ours">{method}, this evaluation</span></th>'
    pairs = ["ADD-S", "ADD(-S)"] * len(add_s)
    columns = ["object", *pairs, "ADD-S", *(Html(f"ADD(-S)<br>{escape(name)}") for name in lists)]

    def published(name: str) -> list[str]:
        return [number(table_[method].get(name)) for method in add_s for table_ in (add_s, add)]

    def ours(key: int | str) -> Sequence[str]:
        if key == "mean":
            first = (_mean_auc_add_s(summary), _mean_auc_add_s(summary, right_end=True))
        else:
            scores = summary.objects[int(key)]
            first = (scores.auc_add_s, scores.auc_add_s_right_end)
        return [_both(*first)] + [
            _both(summary.add[name][key].auc, summary.add[name][key].auc_right_end) for name in lists
        ]

    return table(
        columns, _rows(summary, published, ours, 1 + len(lists)), "dense full", f"<tr><th></th>{head}</tr>"
    )


def _recall_table(summary: Summary) -> str:
    recall = published_by_object("ycbv", "recall_add(-s)")
    lists = list(summary.add)
    method = escape(summary.evaluation.method)
    ours_heads = [Html(f'<span class="ours">{method}<br>{escape(name)}</span>') for name in lists]
    columns = ["object", *map(_in_two_lines, recall), *ours_heads]

    def published(name: str) -> list[str]:
        return [number(recall[method].get(name)) for method in recall]

    def ours(key: int | str) -> Sequence[str]:
        return [percent(summary.add[name][key].recall) for name in lists]

    return table(columns, _rows(summary, published, ours, len(lists)), "dense full")


def _rows(
    summary: Summary,
    published: Callable[[str], list[str]],
    ours: Callable[[int | str], Sequence[str]],
    width: int,
) -> list[Row]:
    """A row for each object of the data set, also those that were not evaluated, and the means."""

    def marked(cells: Sequence[str]) -> list[str]:
        return [Html(f'<b class="ours">{html(cell)}</b>') for cell in cells]

    rows = []
    for obj_id, item in summary.evaluation.objects.items():
        marks = "".join(
            mark for name, mark in zip(summary.symmetric, "*†") if obj_id in summary.symmetric[name]
        )
        mine = ours(obj_id) if obj_id in summary.objects else [NOTHING] * width
        rows.append(Row([f"{item.name}{marks}", *published(item.name), *marked(mine)]))
    return [*rows, Row(["mean of the objects", *published(MEAN), *marked(ours("mean"))], "total")]


def _both(exact: float | None, right_end: float | None) -> Html:
    return Html(f"{percent(exact)} <small>[{percent(right_end)}]</small>")


def _in_two_lines(method: str) -> Html:
    """`MRC-Net (FCOS)` with its remark below, so that columns stay narrow."""
    return Html(escape(method).replace(" (", "<br>("))
