# SPDX-License-Identifier: GPL-2.0-or-later
"""How a model does on labelled data: what is right, false and missed, what that looks like, and what to tell of it.

A module for each kind of result. The task ``evaluate`` measures with them, the report of a training shows with them.
"""
