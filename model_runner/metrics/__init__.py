# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured of a network."""
