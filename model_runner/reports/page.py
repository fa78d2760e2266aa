# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of a report and its parts, each a piece of HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isnan
from typing import Any

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2329; --faint: #68727c; --line: #d9dee3; --soft: #f4f6f8;
  --accent: #0b6e99; --right: 0, 130, 95; --wrong: 213, 80, 0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e6eaee; --faint: #98a3ae; --line: #333b43;
  --soft: #1c2228; --accent: #5cb8de; --right: 30, 170, 125; --wrong: 230, 110, 40; } }
body { margin: 0 auto; padding: 2.2em 1.4em 4em; max-width: 62em; background: #ffffff; background: var(--paper);
  color: #1d2329; color: var(--ink); font: 15px/1.5 "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
h1 { margin: 0 0 0.1em; font-size: 1.75em; line-height: 1.25; font-weight: 600; }
h2 { margin: 2.2em 0 0.6em; padding-bottom: 0.25em; border-bottom: 1px solid var(--line); font-size: 1.2em;
  font-weight: 600; }
h3 { margin: 1.4em 0 0.4em; font-size: 1em; font-weight: 600; }
p { margin: 0.4em 0 0.8em; max-width: 46em; }
.lead { color: var(--faint); font-size: 1.05em; }
.note, figcaption, .legend { color: var(--faint); font-size: 0.87em; }
.cards { margin: 1.4em -0.4em 0; }
.card { display: inline-block; vertical-align: top; margin: 0.4em; padding: 0.6em 1.1em 0.5em; min-width: 6em;
  border: 1px solid var(--line); border-radius: 6px; background: var(--soft); }
.card b { display: block; font-size: 1.6em; font-weight: 600; line-height: 1.25; color: var(--accent); }
.card span { color: var(--faint); font-size: 0.87em; }
.warning { color: rgb(213, 80, 0); color: rgb(var(--wrong)); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92em; }
th, td { padding: 0.32em 0.8em; border-bottom: 1px solid var(--line); text-align: right; vertical-align: baseline;
  font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--faint); }
th:first-child, td:first-child { text-align: left; padding-left: 0.1em; }
.facts td { text-align: left; overflow-wrap: anywhere; word-break: break-word; }
.facts td:first-child { color: var(--faint); white-space: nowrap; word-break: normal; }
.matrix td, .matrix th { padding: 0.3em 0.5em; min-width: 2.2em; text-align: center; border: 1px solid var(--line); }
.matrix th:first-child { text-align: right; }
.matrix.many { font-size: 0.76em; }
.matrix.many td, .matrix.many th { padding: 0.25em 0.3em; min-width: 1.9em; }
.matrix thead th { vertical-align: bottom; }
.matrix thead div { position: relative; width: 1.5em; margin: 0 auto; }
.matrix thead span { position: absolute; left: 1.25em; bottom: 0; white-space: nowrap; line-height: 1;
  -webkit-transform-origin: 0 100%; transform-origin: 0 100%; -webkit-transform: rotate(-90deg);
  transform: rotate(-90deg); }
figure { display: inline-block; vertical-align: top; margin: 0.6em 18px 0.8em 0; max-width: 100%; }
figure h3 { margin: 0 0 0.2em; }
svg { display: block; max-width: 100%; }
svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--faint); stroke-width: 1; }
.legend { max-width: 440px; margin-bottom: 0.6em; }
.legend span { white-space: nowrap; margin-right: 1em; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.35em; border-radius: 2px; }
.example { display: inline-block; vertical-align: top; margin: 0 0 1.6em; max-width: 100%;
  page-break-inside: avoid; break-inside: avoid; }
.example h3, .example .note { margin: 0 12px 0 0; overflow-wrap: anywhere; word-break: break-word; }
.panel { display: inline-block; vertical-align: top; margin: 0.4em 8px 0 0; }
.panel img { display: block; width: 216px; border-radius: 3px; }
.narrow .panel img { width: 172px; }
.panel span { color: var(--faint); font-size: 0.82em; }
@media print { :root { --paper: #ffffff; --ink: #000000; --faint: #4c555d; --line: #c9ced3; --soft: #ffffff;
  --accent: #0b6e99; --right: 0, 130, 95; --wrong: 213, 80, 0; }
  body { padding: 0; font-size: 11px; max-width: none; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h2 { page-break-after: avoid; break-after: avoid; } figure, table { page-break-inside: avoid; break-inside: avoid; }
  .panel img { width: 165px; } .narrow .panel img { width: 130px; } .scroll { overflow: visible; } }
"""


def render_page(title: str, lead: str, parts: Iterable[str]) -> str:
    """A whole HTML document.

    Args:
        title: plain text.
        lead: the sentence under it, plain text.
        parts: pieces of HTML, as the functions of this package make them.
    """
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>',
            *parts,
            "</body>\n</html>\n",
        )
    )


def section(heading: str, *parts: str, note: str = "") -> str:
    """Parts under a heading, with a line of explanation; nothing at all where no part has content."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    explained = f'<p class="note">{escape(note)}</p>\n' if note else ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{explained}{content}\n</section>"


def warnings(texts: Iterable[str]) -> str:
    """What the reader should see to, a paragraph each; plain text."""
    return "".join(f'<p class="warning">{escape(text)}</p>' for text in texts)


def cards(figures: Mapping[str, Any]) -> str:
    """The main figures, large."""
    boxes = (
        f'<div class="card"><b>{escape(tell(value))}</b><span>{escape(name)}</span></div>'
        for name, value in figures.items()
    )
    return f'<div class="cards">{"".join(boxes)}</div>'


def facts(pairs: Mapping[str, Any]) -> str:
    """A table of names and what is told of them; what is None or empty is left out."""
    rows = (
        f"<tr><td>{escape(name)}</td><td>{escape(tell(value))}</td></tr>"
        for name, value in pairs.items()
        if value is not None and value != "" and value != ()
    )
    return f'<table class="facts">{"".join(rows)}</table>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of figures with a line of names; the first column is text."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(tell(each))}</td>" for each in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def class_table(by_class: Mapping[str, Mapping[str, Any]], kind: str = "class") -> str:
    """A table with a row for each class, or what else ``kind`` says; the columns are those of the first."""
    columns = list(next(iter(by_class.values()), {}))
    return table([kind, *columns], ([name, *(row.get(each) for each in columns)] for name, row in by_class.items()))


def tell(value: Any) -> str:
    """A value as people read it: three places, thousands apart, and a dash for what cannot be told."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float) and 1000 <= abs(value) < 1e9:
        return tell(round(value))
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(tell(each) for each in value)
    return str(value)
