#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run the plugin's tests in the QGIS of another Debian: `test_with_debian.sh trixie`. Needs root and debootstrap, and
# about 3 GB below build/ for the first run. What git does not track is left out.
set -eu
suite=$1
shift
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
system="$root/build/debian-$suite"
if [ ! -e "$system/complete" ]; then
    debootstrap --variant=minbase "$suite" "$system"
    cp /etc/resolv.conf "$system/etc/resolv.conf"
    chroot "$system" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive chroot "$system" \
        apt-get install -y -qq --no-install-recommends qgis python3-qgis python3-pytest python3-venv
    touch "$system/complete"
fi
rm -rf "$system/plugin"
mkdir "$system/plugin"
git -C "$root" ls-files -z | tar -C "$root" --null --files-from=- -c | tar -C "$system/plugin" -x
exec unshare --mount sh -euc '
    system=$1
    shift
    mount --rbind /proc "$system/proc"
    mount --rbind /dev "$system/dev"
    exec chroot "$system" sh -euc "
        cd /plugin
        qgis_process --version | head -1
        exec scripts/with_qgis.sh python3 -m pytest tests/qgis --import-mode=importlib -c tests/qgis/pytest.ini \"\$@\"
    " sh "$@"
' sh "$system" "$@"
