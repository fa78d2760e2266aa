# SPDX-License-Identifier: GPL-2.0-or-later
"""What the plugin and the runner agree on.

Standard library only, readable by Python 3.9 (QGIS 3.22), relative imports only: QGIS imports this folder as
``lwganet_qgis.model_runner.contract``, the runner as ``model_runner.contract``.

* ``messages``: the lines of JSON that travel between the two processes,
* ``task_requests``: what a task is asked to do; the same dataclasses are the command line's options and the run record,
* ``model_card``: what is known about a model without opening its weights,
* ``folders``: where models and the runner's environment are kept,
* ``errors``: the base of every error whose text is meant for the user.
"""
