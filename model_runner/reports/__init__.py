# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports as one HTML file each: without scripts, without other files, for screens of any colour and for paper.

``page`` lays out, ``charts`` draws curves and bars, of ``shapes``, ``chart_pictures`` puts them on an image as well,
``confusion`` colours a matrix, ``pictures`` draws on images, and ``examples`` chooses the images that are shown. None
of them knows of a task.
"""
