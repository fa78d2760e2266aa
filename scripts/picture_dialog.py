# SPDX-License-Identifier: GPL-2.0-or-later
"""Picture the dialog of an algorithm, 'Detect objects' or that named by ALGORITHM, with the demo's image loaded.

    PICTURE=docs/pictures/dialog.png QT_QPA_PLATFORM=xcb scripts/with_qgis.sh \
        xvfb-run -a -s "-screen 0 1400x1000x24" qgis --nologo --code scripts/picture_dialog.py

HEIGHT is that of the picture in pixels; where UNFOLD is set, the advanced parameters are unfolded.
"""

import os
from collections import Counter
from pathlib import Path

import processing
from osgeo import gdal
from qgis.core import QgsProject, QgsRasterLayer
from qgis.gui import QgsCollapsibleGroupBoxBasic
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtGui import QImage
from qgis.PyQt.QtWidgets import QDialog, QWidget

ROOT = Path(os.environ["QGIS_PLUGINPATH"], "lwganet_qgis").resolve()
WIDTH, HEIGHT = 1100, int(os.environ.get("HEIGHT", "780"))
MILLISECONDS_TO_DRAW = 1500


def open_dialog() -> QDialog:
    """The dialog above a project that holds the demo's image."""
    gdal.SetConfigOption("GDAL_PAM_ENABLED", "NO")  # else QGIS leaves statistics beside the raster
    image = QgsRasterLayer(str(ROOT / "resources" / "demo" / "airfield.tif"), "airfield")
    QgsProject.instance().addMapLayer(image)
    algorithm = os.environ.get("ALGORITHM", "lwganet:detectobjects")
    dialog = processing.createAlgorithmDialog(algorithm, {"INPUT": image.id()})
    dialog.resize(WIDTH, HEIGHT)
    dialog.show()
    return dialog


def unfold(dialog: QDialog) -> None:
    """Show the advanced parameters; to be asked for once the dialog is there, which folds them."""
    group = dialog.findChild(QWidget, "grpAdvanced")
    sip.cast(group, QgsCollapsibleGroupBoxBasic).setCollapsed(False)  # it comes as a plain QGroupBox


def save(dialog: QDialog, output: str) -> None:
    """Write the picture and end QGIS, which would otherwise ask whether to save the project."""
    with_few_colours(dialog.grab().toImage()).save(output)
    os._exit(0)


def with_few_colours(picture: QImage) -> QImage:
    """The picture in its 256 commonest colours; it has hardly more, and is a third of the size."""
    picture = picture.convertToFormat(QImage.Format.Format_RGB32)
    pixels = memoryview(picture.constBits().asstring(picture.sizeInBytes())).cast("I")
    commonest = [colour for colour, _ in Counter(pixels).most_common(256)]
    return picture.convertToFormat(QImage.Format.Format_Indexed8, commonest, Qt.ImageConversionFlag.AvoidDither)


dialog = open_dialog()
if "UNFOLD" in os.environ:
    QTimer.singleShot(MILLISECONDS_TO_DRAW // 2, lambda: unfold(dialog))
QTimer.singleShot(MILLISECONDS_TO_DRAW, lambda: save(dialog, os.environ["PICTURE"]))
