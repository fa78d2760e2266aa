# SPDX-License-Identifier: GPL-2.0-or-later
r"""Operators on oriented boxes, in PyTorch alone: the same code on every device.

A box is a row ``cx, cy, w, h, angle``. Pixels count to the right and down; a pixel's centre is at integer + 0.5. The
angle is in radians, from the x axis towards the y axis, which is clockwise on the screen::

    +-------> x            1--___
    |                     /      --___  w (along the angle)
    |                    /     c   _/ 2
    v y              h  0--___    /
                              --_3

"le90" boxes have w >= h and -pi/2 <= angle < pi/2. Horizontal boxes are rows ``x1, y1, x2, y2`` with
width x2 - x1. Functions take tensors of either floating type and compute in it.
"""
