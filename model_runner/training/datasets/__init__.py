# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders of labelled images, read one image at a time; a module for each kind of labels."""
