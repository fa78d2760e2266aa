#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run a command with QGIS's own Python, a profile of its own under build/ and this checkout as plugin.
# `with_qgis.sh qgis_process …` finds the program that works: Debian 12's wrapper of that name does not.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
home="$root/build/qgis-home"
mkdir -p "$home/runtime" "$home/plugins"
chmod 700 "$home/runtime"
[ "$(readlink "$home/plugins/lwganet_qgis")" = "$root" ] || ln -sfn "$root" "$home/plugins/lwganet_qgis"
export HOME="$home" XDG_RUNTIME_DIR="$home/runtime" QGIS_PLUGINPATH="$home/plugins"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}"
unset XDG_DATA_HOME XDG_CONFIG_HOME PYTHONPATH PYTHONHOME VIRTUAL_ENV
if [ "$1" = qgis_process ]; then
    shift
    program=qgis_process
    [ ! -x /usr/bin/qgis_process.bin ] || program=/usr/bin/qgis_process.bin
    [ -e "$home/plugin-enabled" ] || { "$program" plugins enable lwganet_qgis >/dev/null 2>&1; touch "$home/plugin-enabled"; }
    exec "$program" "$@"
fi
exec "$@"
