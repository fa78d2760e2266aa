# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters as the rest of the runner wants to see them: tiles of pixels on the scale 0 to 255, with a georeference.

``source.open_source`` opens a raster and offers its *working grid*: the raster's own pixels, or coarser or finer ones
at the ground resolution that was asked for. From then on everything counts in working pixels: x right, y down, (0, 0)
the top-left corner of the first pixel. ``tiling`` cuts the grid, ``writer`` puts results into place in one go.

A second raster of the same place is read on the working grid of the first by ``pair``.
"""
