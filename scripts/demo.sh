#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Detect objects in the bundled image through qgis_process, as a user's script would, and picture the result.
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/demo
rm -f build/demo/airfield_objects.*
export GDAL_PAM_ENABLED=NO  # else QGIS leaves statistics beside the image
log=build/demo/airfield_objects.log
echo "Detecting objects in resources/demo/airfield.tif ..."
scripts/with_qgis.sh qgis_process run lwganet:detectobjects --json -- \
    INPUT=resources/demo/airfield.tif OUTPUT=build/demo/airfield_objects.gpkg \
    >build/demo/airfield_objects.json 2>"$log" || { cat "$log" >&2; exit 1; }
scripts/with_qgis.sh /usr/bin/python3 scripts/render_map.py \
    resources/demo/airfield.tif build/demo/airfield_objects.gpkg build/demo/airfield_objects.png
/usr/bin/python3 - <<'SUMMARY'
import json

results = json.load(open("build/demo/airfield_objects.json"))["results"]
found = ", ".join(f"{name[6:].lower()} {count}" for name, count in results.items() if name.startswith("COUNT_") and count)
print(f"{results['COUNT']} objects ({found}) in {results['SECONDS']:.1f} s: "
      "build/demo/airfield_objects.gpkg, build/demo/airfield_objects.png")
SUMMARY
