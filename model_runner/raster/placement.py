# SPDX-License-Identifier: GPL-2.0-or-later
"""How the working grid lies on the pixels of the file, or of one of its overviews."""

from dataclasses import dataclass

from rasterio.windows import Window

from model_runner.raster.handles import Handles
from model_runner.raster.resampling import AxisScale


@dataclass(frozen=True)
class Placement:
    """The axes of the working grid on those of the source: overview number ``overview``, or the raster if None."""

    columns: AxisScale
    rows: AxisScale
    overview: int | None

    @property
    def is_native(self) -> bool:
        """Whether working pixels are pixels of the source."""
        return self.columns.is_identity and self.rows.is_identity

    def window(self, x: int, y: int, width: int, height: int) -> Window:
        """The source pixels that a window of working pixels touches."""
        column, columns = self.columns.span(x, width)
        row, rows = self.rows.span(y, height)
        return Window(column, row, columns, rows)


def place_on_source(handles: Handles, window: Window, factors: tuple[float, float]) -> Placement:
    """The placement of a working grid that begins at ``window`` and whose pixels cover ``factors`` native pixels.

    Reads from an overview where one is at least twice as fine as the grid, so that averaging evens out how it was made.
    One that tells otherwise than the raster what has data, as one without the raster's mask, is not read.

    Args:
        handles: the raster.
        window: in native pixels.
        factors: native pixels in a working pixel, across and down.
    """
    fine_enough = [number for number, factor in enumerate(handles.overview_factors) if 2 * factor <= min(factors)]
    coarsest_first = sorted(fine_enough, key=handles.overview_factors.__getitem__, reverse=True)
    overview = next(filter(handles.is_masked_alike, coarsest_first), None)
    native_width, native_height = handles.size()
    width, height = handles.size(overview)
    across, down = width / native_width, height / native_height
    return Placement(
        AxisScale(window.col_off * across, factors[0] * across, width),
        AxisScale(window.row_off * down, factors[1] * down, height),
        overview,
    )


def place_part(
    handles: Handles, whole: Placement, x: float, y: float, width: float, height: float, side: int
) -> Placement:
    """The placement of ``side`` x ``side`` pixels over a window of a working grid.

    Args:
        handles: the raster.
        whole: the placement of the grid.
        x: left border of the window in working pixels, which need not be whole.
        y: its upper border.
        width: of the window in working pixels.
        height: of the window in working pixels.
        side: number of pixels across and down.
    """
    native_width, native_height = handles.size()
    across, down = native_width / whole.columns.length, native_height / whole.rows.length
    window = Window(
        (whole.columns.offset + x * whole.columns.scale) * across,
        (whole.rows.offset + y * whole.rows.scale) * down,
        width * whole.columns.scale * across,
        height * whole.rows.scale * down,
    )
    return place_on_source(handles, window, (window.width / side, window.height / side))
