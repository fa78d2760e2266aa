# SPDX-License-Identifier: GPL-2.0-or-later
"""From rasters and polygons to datasets of labelled chips.

``label_layer`` reads the polygons, ``chips`` cuts rasters into blocks of chips, ``splitting`` gives each block to a
split, ``labels`` makes the labels of a chip and writes them in the layout of a task, ``report`` tells what there is.
Everything counts in the working pixels of a raster (see ``raster``).
"""
