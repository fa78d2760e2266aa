# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of a raster through a network, shared by all tasks.

``engine`` reads tiles ahead, computes them in batches and hands the predictions to a *collector*, which builds the
result of the whole raster. It knows neither networks (it is given a ``predict`` function) nor files (a collector that
must write is given a writer).
"""
