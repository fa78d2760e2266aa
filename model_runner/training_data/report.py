# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in a dataset: the page with class balance, sizes and labelled chips."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model_runner.reports.charts import bar_chart, histogram, legend
from model_runner.reports.examples import Example, show_examples
from model_runner.reports.page import cards, facts, render_page, section, table, warnings

FEW_CLASSES = 8  # up to which each class has histograms of its own

Sizes = Mapping[str, Mapping[str, np.ndarray]]  # for each class, values (n,) of each kind of size, which has its unit


def describe_sizes(values: np.ndarray) -> dict[str, float] | None:
    """Count, smallest, quartiles and largest of some sizes; None without any."""
    if not len(values):
        return None
    names = ("smallest", "lower_quartile", "median", "upper_quartile", "largest")
    found = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    return {"count": len(values), **{name: float(f"{value:.4g}") for name, value in zip(names, found, strict=True)}}


def dataset_page(record: Mapping[str, Any], sizes: Sizes, sheets: Mapping[str, Sequence[Example]]) -> str:
    """The page as HTML.

    Args:
        record: what the dataset's record says, see ``tasks.export_data``.
        sizes: of the labels.
        sheets: for each split, pictures of chips.
    """
    colours = {each["name"]: each["colour"] for each in record["classes"]}
    return render_page(
        f"Training data: {record['name']}",
        record["summary"],
        (
            warnings(record["warnings"]),
            cards({f"chips for {name}": split["chips"] for name, split in record["splits"].items()}),
            section("Class balance", _balance(record), *_shares(record)),
            section("Sizes on the ground", _size_table(sizes), *_histograms(sizes, colours)),
            *(
                section(f"Chips for {split}", legend(colours), show_examples(examples), note="Some of them, at random.")
                for split, examples in sheets.items()
            ),
            section(
                "Rasters",
                table(
                    ("raster", "chips", "metres per pixel"),
                    ((each["path"], each["chips"], each["metres_per_pixel"]) for each in record["rasters"]),
                ),
            ),
            section(
                "Settings",
                facts(
                    {
                        **record["request"],
                        "finished": record["finished"],
                        "program": f"LWGANet for QGIS {record['lwganet_qgis']}",
                    }
                ),
            ),
        ),
    )


def _balance(record: Mapping[str, Any]) -> str:
    """How much of each class each split has, and in how many of its chips."""
    splits = record["splits"]
    columns = ("class", *(f"{split}: {what}" for split in splits for what in (record["unit"], "chips")))
    by_class = [
        (
            each["name"],
            *(split["classes"][each["name"]][what] for split in splits.values() for what in ("count", "chips")),
        )
        for each in record["classes"]
    ]
    whole = [
        (name, *(cell for split in splits.values() for cell in ("", split[key])))
        for name, key in (("all chips", "chips"), ("without labels", "empty"))
    ]
    return table(columns, [*by_class, *whole])


def _shares(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Of each split, the share of each class."""
    counts = {
        name: {each: found["count"] for each, found in split["classes"].items()}
        for name, split in record["splits"].items()
    }
    return tuple(
        bar_chart(
            f"Share of the {record['unit']} for {name}",
            {each: count / max(sum(found.values()), 1) for each, count in found.items()},
        )
        for name, found in counts.items()
    )


def _size_table(sizes: Sizes) -> str:
    described = (
        (name, kind, describe_sizes(values)) for name, kinds in sizes.items() for kind, values in kinds.items()
    )
    rows = [
        (name, kind, *(found[each] for each in ("count", "smallest", "median", "largest")))
        for name, kind, found in described
        if found is not None
    ]
    return table(("class", "size", "number", "smallest", "median", "largest"), rows) if rows else ""


def _histograms(sizes: Sizes, colours: Mapping[str, str]) -> tuple[str, ...]:
    """For each class and kind of size a histogram; where there are many classes, for each kind."""
    if len(sizes) <= FEW_CLASSES:
        shown = {(name, kind): values for name, kinds in sizes.items() for kind, values in kinds.items()}
        return tuple(
            histogram(f"{name}: {kind}", values, kind, "number", colours[name])
            for (name, kind), values in shown.items()
        )
    kinds = dict.fromkeys(kind for each in sizes.values() for kind in each)
    return tuple(
        histogram(
            f"All classes: {kind}",
            np.concatenate([each[kind] for each in sizes.values() if kind in each]),
            kind,
            "number",
        )
        for kind in kinds
    )
