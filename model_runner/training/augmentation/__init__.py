# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples altered by chance, so that a network sees more than was photographed.

``affine`` and ``colours`` alter images, the other modules the samples of a kind of labels.
"""
