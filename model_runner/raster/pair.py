# SPDX-License-Identifier: GPL-2.0-or-later
"""Two rasters of one place, tile by tile on the grid of the first."""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from model_runner.raster.colour_matching import ColourMatch
from model_runner.raster.overlap import in_frame_of
from model_runner.raster.source import RasterSource, TileInput
from model_runner.raster.tiling import Tile, lone_tile
from model_runner.raster.warping import WarpedSource, lay_on_grid
from model_runner.raster.working_grid import WorkingGrid


class PairInput(NamedTuple):
    """A tile at both dates. A pixel is valid where it is so at both; elsewhere both are 0."""

    before: TileInput
    after: TileInput

    @property
    def valid(self) -> np.ndarray:
        """Which pixels (h, w) have data at both dates."""
        return self.before.valid


PIXELS_AT_ONCE = 2**22  # of which it is told whether they have data, to bound the memory


def pair_on_first_grid(before: RasterSource, after: RasterSource | WarpedSource) -> "RasterPair":
    """A pair, read on the grid of ``before``.

    Args:
        before: the raster of the earlier date, opened ``within`` that of the later one.
        after: the raster of the later date, whatever grid it lies on.

    Raises:
        InputError: they cannot be laid on each other.
    """
    return RasterPair(before, lay_on_grid(after, in_frame_of(before.native, after.native), before.grid))


@dataclass(frozen=True)
class RasterPair:
    """Two rasters on one grid. Several threads may read at once.

    Attributes:
        before: the earlier date; its mask is that of the pair.
        after: the later date on the same grid.
        match: what is done to the colours of the later date.
    """

    before: RasterSource
    after: RasterSource | WarpedSource
    match: ColourMatch | None = None

    @property
    def grid(self) -> WorkingGrid:
        """The working grid."""
        return self.before.grid

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read for the pair."""
        return self.before.files + self.after.files

    def matched(self, match: ColourMatch) -> "RasterPair":
        """The pair with the later date's colours brought to those of the earlier one."""
        return replace(self, match=match)

    def on_own_pixels(self) -> "RasterPair":
        """The pair on the earlier raster's own pixels over the same extent; it is open as long as this one.

        Raises:
            InputError: they cannot be laid on each other.
        """
        before = self.before.on_own_pixels()
        return self if before is self.before else replace(pair_on_first_grid(before, self.after), match=self.match)

    def averaged(self, times: int) -> "RasterPair":
        """The pair, its colours as they are, on pixels so many times as wide; it is open as long as this one.

        Raises:
            InputError: they cannot be laid on each other.
        """
        return pair_on_first_grid(self.before.averaged(times), self.after)

    def record(self) -> dict[str, Any]:
        """What the run record says of both rasters: plain values for JSON."""
        match = None if self.match is None else asdict(self.match)
        return {"before": self.before.record(), "after": self.after.record(), "matched_colours": match}

    def has_data(self, tile: Tile) -> bool:
        """Whether a tile may hold a pixel that is valid at both dates; False is certain.

        Raises:
            UnreadableRaster: a file is damaged.
        """
        return self.before.has_data(tile) and self.after.has_data(tile)

    def read(self, tile: Tile) -> PairInput:
        """The pixels of a tile at both dates.

        Raises:
            UnreadableRaster: a file is damaged.
        """
        before, after = self.before.read(tile), self.after.read(tile)
        valid = before.valid & after.valid
        later = after.pixels if self.match is None else self.match.apply(after.pixels)
        return PairInput(TileInput(before.pixels * valid, valid), TileInput(later * valid, valid))

    def read_valid(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Which pixels (height, width) of a window have data at both dates, for a pair on the earlier one's own pixels.

        Raises:
            UnreadableRaster: a file is damaged.
        """
        valid = self.before.read_valid(x, y, width, height)
        rows_at_once = max(1, PIXELS_AT_ONCE // width)
        for start in range(0, height, rows_at_once):
            part = valid[start : start + rows_at_once]
            part &= self.after.read(lone_tile(x, y + start, width, len(part))).valid
        return valid
