# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in a dataset, as one page that needs nothing else: class balance, sizes and labelled chips."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

BINS = 24
CHART = (360, 110)  # pixels
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1240px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .6em 0 1.4em }
th, td { padding: .25em .9em .25em 0; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.dot { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em }
.bar { display: inline-block; height: .7em; margin-left: .6em; background: #888 }
.sheet { display: flex; flex-wrap: wrap; gap: 8px }
figure { margin: 0 } figcaption { font-size: 11px; color: #666; word-break: break-all }
.warning { color: #a33c00 }
"""


def describe_sizes(values: np.ndarray) -> dict[str, float] | None:
    """Count, smallest, quartiles and largest of some sizes; None without any."""
    if not len(values):
        return None
    names = ("smallest", "lower_quartile", "median", "upper_quartile", "largest")
    found = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    return {"count": len(values), **{name: float(f"{value:.4g}") for name, value in zip(names, found, strict=True)}}


def html_report(
    facts: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, np.ndarray]],
    sheets: Mapping[str, Sequence[tuple[str, Image.Image]]],
) -> str:
    """The page.

    Args:
        facts: what the dataset's record says, see ``tasks.export_data``.
        sizes: for each class, values (n,) of each kind of size, by its name with its unit.
        sheets: for each split, names and pictures of chips.
    """
    colours = {each["name"]: each["colour"] for each in facts["classes"]}
    parts = [
        f"<h1>Training data: {escape(facts['name'])}</h1>",
        f"<p>{escape(facts['summary'])}</p>",
        *(f'<p class="warning">{escape(text)}</p>' for text in facts["warnings"]),
        "<h2>Class balance</h2>",
        _balance(facts, colours),
        "<h2>Sizes</h2>",
        _sizes(sizes, colours),
        "<h2>Rasters</h2>",
        _table(
            ("raster", "chips", "metres per pixel"),
            [(each["path"], each["chips"], _number(each["metres_per_pixel"])) for each in facts["rasters"]],
        ),
        *(
            f'<h2>Chips for {escape(split)}</h2><div class="sheet">{"".join(_figure(*each) for each in sheet)}</div>'
            for split, sheet in sheets.items()
        ),
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(facts["name"])}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _balance(facts: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    """How much of each class each split has, and in how many of its chips."""
    splits, unit = facts["splits"], facts["unit"]
    heads = ["class", *(f"{split}: {what}" for split in splits for what in (unit, "share", "chips"))]
    rows = []
    for name, colour in colours.items():
        row = [f'<span class="dot" style="background:{colour}"></span>{escape(name)}']
        for split in splits.values():
            count, total = split["classes"][name]["count"], sum(each["count"] for each in split["classes"].values())
            share = count / max(total, 1)
            bar = f'<span class="bar" style="width:{share * 60:.0f}px;background:{colour}"></span>'
            row += [f"{count:,}", f"{100 * share:.1f} %{bar}", f"{split['classes'][name]['chips']:,}"]
        rows.append(row)
    rows.append(["all chips", *(text for each in splits.values() for text in ("", "", f"{each['chips']:,}"))])
    rows.append(["without labels", *(text for each in splits.values() for text in ("", "", f"{each['empty']:,}"))])
    return _markup_table(heads, rows)


def _sizes(sizes: Mapping[str, Mapping[str, np.ndarray]], colours: Mapping[str, str]) -> str:
    """For each class and kind of size a line of figures and a histogram."""
    rows = []
    for name, kinds in sizes.items():
        for kind, values in kinds.items():
            found = describe_sizes(values)
            if found is not None:
                figures = [_number(found[key]) for key in ("smallest", "median", "largest")]
                chart = _histogram(values, colours[name])
                rows.append([escape(name), escape(kind), f"{found['count']:,}", *figures, chart])
    return _markup_table(("class", "size", "number", "smallest", "median", "largest", "distribution"), rows)


def _histogram(values: np.ndarray, colour: str) -> str:
    """Bars for values up to their 99th percentile; what lies beyond is in the last one."""
    width, height = CHART
    largest = max(float(np.quantile(values, 0.99)), 1e-9)
    counts, _ = np.histogram(values.clip(0, largest), BINS, (0, largest))
    step = width / BINS
    bars = "".join(
        f'<rect x="{number * step:.1f}" y="{(height - 14) * (1 - count / counts.max()):.1f}" width="{step - 1:.1f}" '
        f'height="{(height - 14) * count / counts.max():.1f}" fill="{colour}"/>'
        for number, count in enumerate(counts.tolist())
    )
    return (
        f'<svg width="{width}" height="{height}" role="img">{bars}<text x="0" y="{height - 2}" font-size="11">0</text>'
        f'<text x="{width}" y="{height - 2}" font-size="11" text-anchor="end">{_number(largest)}</text></svg>'
    )


def _figure(name: str, picture: Image.Image) -> str:
    file = BytesIO()
    picture.save(file, "JPEG", quality=85)
    data = b64encode(file.getvalue()).decode("ascii")
    return (
        f'<figure style="width:{picture.width}px"><img src="data:image/jpeg;base64,{data}" alt="">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return _markup_table(heads, [[escape(str(value)) for value in row] for row in rows])


def _markup_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
