#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Install QGIS and what the demo and the tests need from Debian, unless it is there already.
set -eu
packages="qgis python3-qgis python3-pytest python3-venv xvfb xauth git"
missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Installing$missing needs root or sudo." >&2; exit 1; }
    as_root="sudo"
fi
echo "Installing$missing"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
