# SPDX-License-Identifier: GPL-2.0-or-later
"""Models on disk, on the way there, and ready to compute.

``store`` reads and writes the folders of models, ``loaded`` keeps the last ones ready, ``official_checkpoints`` makes
models of the official programs' files, and ``download`` fetches those.
"""
