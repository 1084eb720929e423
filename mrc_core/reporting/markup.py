"""Small pieces of HTML: escaped text, numbers as papers print them, tables, sections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

NOTHING = "–"
STYLE = Path(__file__).with_name("page.css")


class Html(str):
    """Text that is HTML already; all other text is escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A part of a page: `key` names it in links."""

    key: str
    title: str
    body: str


@dataclass(frozen=True)
class Row:
    """Cells of a table, and how the row looks: "" or "total" or "ours"."""

    cells: Sequence[str]
    kind: str = ""


def html(text: str) -> str:
    """Text made safe, HTML as it is."""
    return text if isinstance(text, Html) else escape(text)


def percent(value: float | None) -> str:
    """Of 1, as tables print it: one decimal without the sign, a dash where unknown."""
    return NOTHING if value is None or not math.isfinite(value) else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """A signed difference of percentages, of 1: `+1.2`."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """With a fixed number of decimals, and a unit after a thin gap; a dash where unknown."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.{digits}f}{unit}"


def table(columns: Sequence[str], rows: Sequence[Row], kind: str = "", head: str = "") -> str:
    """A table; the first column is text, the others are numbers.

    Args:
        columns: headings.
        kind: a class of its own.
        head: HTML of a line of headings above the columns'.
    """
    names = "".join(f"<th>{html(name)}</th>" for name in columns)
    body = "".join(
        f'<tr class="{row.kind}">' + "".join(f"<td>{html(cell)}</td>" for cell in row.cells) + "</tr>"
        for row in rows
    )
    body = body.replace('<tr class="">', "<tr>")
    name = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{name}><thead>{head}<tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def note(text: str) -> str:
    """A remark below or above what it is about."""
    return f'<p class="note">{html(text)}</p>'


def folded(summary: str, body: str) -> str:
    """What only opens when it is asked for."""
    return f"<details><summary>{html(summary)}</summary>{body}</details>"


def swatch(colour: str, name: str) -> Html:
    """A name with the colour that stands for it."""
    return Html(f'<span class="swatch" style="background:{colour}"></span>{escape(name)}')


def page(title: str, header: str, sections: Sequence[Section], footer: str) -> str:
    """A whole document; sections without a body are left out."""
    used = [one for one in sections if one.body]
    css = STYLE.read_text(encoding="utf-8")
    links = " ".join(f'<a href="#{one.key}">{escape(one.title)}</a>' for one in used)
    body = "\n".join(
        f'<section id="{one.key}"><h2>{escape(one.title)}</h2>{one.body}</section>' for one in used
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>\n<style>{css}</style></head>\n<body>\n<header>{header}</header>\n"
        f"<nav>{links}</nav>\n<main>\n{body}\n</main>\n<footer>{footer}</footer>\n</body></html>\n"
    )
