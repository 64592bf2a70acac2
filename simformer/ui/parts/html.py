"""Small pieces of HTML that several tabs use."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

PROBLEMS_SHOWN = 3


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table that scrolls sideways by itself where the screen is narrow.

    Args:
        caption, head: plain text.
        rows: cells as HTML, in the order of `head`; the first cell of a row is its heading.
        numbers: columns that are set flush right.
    """

    def kind(column: int) -> str:
        return ' class="number"' if column in numbers else ""

    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind(column)}>{cell}</td>" for column, cell in enumerate(row[1:], start=1))
        + "</tr>"
        for row in rows
    )
    heading = "".join(f'<th scope="col"{kind(column)}>{escape(text)}</th>' for column, text in enumerate(head))
    return (
        f'<div class="sideways" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="data">'
        f"<caption>{escape(caption)}</caption><thead><tr>{heading}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def download_link(label: str, name: str, text: str, kind: str = "text/csv") -> str:
    """A link that saves `text` as the file `name`; nothing is written on the server."""
    data = base64.b64encode(text.encode()).decode()
    return f'<a class="download" download="{escape(name)}" href="data:{kind};base64,{data}">{escape(label)}</a>'


def hint(text: str) -> str:
    """A sentence (HTML) beside the numbers: a note, or what to do where there are none."""
    return f'<p class="hint">{text}</p>'


def wrapped(text: str) -> str:
    """Plain text for a table cell that may run over several lines."""
    return f'<span class="wrap">{escape(text)}</span>'


def empty(sentence: str) -> str:
    """What stands where something will be: what to do for it, as plain text."""
    return f'<p class="empty">{escape(sentence)}</p>'


def swatch(color: str) -> str:
    """A small square of a color (CSS)."""
    return f'<span class="swatch" style="background:{color}"></span>'


def chip(name: str, color: str, more: str = "") -> str:
    """A list item: the class's color, its name (plain text) and `more` (HTML)."""
    return f"<li>{swatch(color)}{escape(name)}{more and ' ' + more}</li>"


def legend(label: str, chips: Iterable[str], heading: str = "") -> str:
    """Chips in a row that wraps. `label` tells screen readers what they are, `heading` (plain text) everybody."""
    above = f"<strong>{escape(heading)}</strong>" if heading else ""
    return f'<section class="legend" aria-label="{escape(label)}">{above}<ul>{"".join(chips)}</ul></section>'


def duration_text(seconds: float, hours: str = "h") -> str:
    """Minutes, or from one and a half hours on hours, which are called `hours`."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} {hours}"


def role_mark(role: str) -> str:
    """A role in small letters beside a class."""
    return f'<span class="role {role}">{role}</span>'


def share_text(share: float) -> str:
    """0.314 -> "31 %"; small shares keep a decimal, so that nothing that is there reads as zero."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else "< 0.1 %" if value < 0.1 else f"{value:.1f} %"


def iou_text(value: float | None) -> str:
    """An IoU, which is in percent, for a column that says so; or "missing"."""
    return '<span class="missing">missing</span>' if value is None else f"{value:.1f}"


def progress_bar(label: str, done: int, total: int, words: str, seconds_left: float | None) -> str:
    """A bar and what it says.

    Args:
        label: what is counted, for screen readers. words: plain text. seconds_left: None if that is not known.
    """
    if seconds_left is not None:
        left = f"{seconds_left:.0f} s" if seconds_left < 100 else f"{seconds_left / 60:.0f} min"
        words += f", about {left} left"
    return (
        f'<div class="progress"><progress max="{max(total, 1)}" value="{done}" aria-label="{escape(label)}"></progress>'
        f"<span>{escape(words)}</span></div>"
    )


def left_out(problems: Sequence[str]) -> str:
    """What could not be used and why; the first few in full. Nothing if there are none."""
    if not problems:
        return ""
    shown = " ".join(f"{escape(problem)}." for problem in problems[:PROBLEMS_SHOWN])
    more = len(problems) - PROBLEMS_SHOWN
    return hint(f"Left out: {shown}" + (f" And {more} more." if more > 0 else ""))
