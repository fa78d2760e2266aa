# SPDX-License-Identifier: GPL-2.0-or-later
"""A confusion matrix as a coloured table."""

from collections.abc import Sequence
from html import escape

from model_runner.reports.page import tell

MANY_CLASSES = 12  # from which the table is set small
FEW = 10_000  # up to which counts are told; beyond, shares of the row


def confusion_matrix_table(names: Sequence[str], matrix: Sequence[Sequence[int]], counted: str) -> str:
    """The table: labelled classes in rows, found ones in columns, coloured by the share of the row.

    Args:
        names: of rows and of columns.
        matrix: counts.
        counted: what is counted, such as "pixels".
    """
    as_shares = max((count for row in matrix for count in row), default=0) > FEW
    upright = (*names, f"labelled {counted}")
    height = 0.66 * max(map(len, upright))  # the letters are turned
    head = "".join(f'<th><div style="height:{height:.1f}em"><span>{escape(name)}</span></div></th>' for name in upright)
    rows = []
    for number, (name, row) in enumerate(zip(names, matrix, strict=True)):
        total = sum(row)
        cells = [
            _cell(count, count / total if total else 0.0, number == column, as_shares)
            for column, count in enumerate(row)
        ]
        rows.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}<td>{tell(total)}</td></tr>")
    told = f"per cent of the labelled {counted} of the row" if as_shares else f"number of {counted}"
    kind = "matrix many" if len(names) >= MANY_CLASSES else "matrix"
    return (
        f'<p class="note">Labelled classes in rows, found ones in columns: {escape(told)}; green is right, orange '
        f'wrong, the stronger the larger its share of the row.</p><div class="scroll"><table class="{kind}"><thead>'
        f"<tr><th>labelled \\ found</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, share: float, right: bool, as_shares: bool) -> str:
    if not count:
        return "<td></td>"
    told = f"{100 * share:.1f}" if as_shares else str(count)
    colour = "right" if right else "wrong"
    return f'<td style="background:rgba(var(--{colour}), {0.08 + 0.62 * share:.2f})" title="{count}">{told}</td>'
