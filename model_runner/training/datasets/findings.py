# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be wrong or doubtful about a dataset, and who is told.

Readers tell what they find and go on. ``refuse`` listens for those who want a sound dataset or an error; the checks
listen for all of it.
"""

from collections.abc import Callable
from typing import NamedTuple

from model_runner.errors import InputError


class Kind(NamedTuple):
    """Findings of one nature.

    Attributes:
        title: what they have in common.
        remedy: what to do about them.
        stops: whether nothing can be trained before they are mended; the others are doubts.
    """

    title: str
    remedy: str
    stops: bool


class Finding(NamedTuple):
    """Something wrong or doubtful.

    Attributes:
        kind: its key in ``KINDS``.
        file: where it is; a folder where it concerns many files.
        text: a whole sentence that names the file.
    """

    kind: str
    file: str
    text: str


Tell = Callable[[Finding], None]

KINDS: dict[str, Kind] = {
    "layout": Kind("No such dataset", "lay the folders out as the documentation of datasets shows", True),
    "other_task": Kind("Made for another task", "choose that task, or another dataset", True),
    "unreadable": Kind("Files that cannot be read", "copy or export them anew, or take them out", True),
    "too_few_bands": Kind("Images with other bands", "give all images the bands that the model wants", True),
    "missing_pair": Kind("Files without their counterpart", "add the counterpart, or take the file out", True),
    "same_name": Kind("Images of the same name", "rename one of them and its labels", True),
    "same_id": Kind("Images or categories without an id of their own", "number them anew, each by itself", True),
    "size": Kind("Sizes that differ", "export images and labels anew, from one grid of pixels", True),
    "label_text": Kind("Labels that cannot be read", "correct them, or take them out", True),
    "label_file": Kind(
        "Masks of another kind", "save masks as one band of 8-bit class numbers, or in the colours of the table", True
    ),
    "unknown_class": Kind("Unknown classes", "correct the name, or add examples of the class to train", True),
    "unknown_value": Kind(
        "Masks with values that are not in the table", "add these to the table, or correct the mask", True
    ),
    "change_value": Kind("Labels of change other than 0 and 255", "write 0 for unchanged and 255 for changed", True),
    "degenerate": Kind("Empty or degenerate boxes", "draw them anew, or take them out", True),
    "outside": Kind("Labels outside their images", "move them into the image, or take them out", True),
    "leak": Kind("The same image in several parts", "keep it in one part: figures would be too good", True),
    "contradiction": Kind("The same image in several classes", "keep it in the folder of the right class", True),
    "nothing": Kind("Nothing to learn from", "label some examples", True),
    "undivided": Kind("Not divided", "divide the dataset into train and val, from different places", False),
    "repeated": Kind("The same image several times", "keep one of them", False),
    "bands": Kind("Images with more bands than are used", "name those that the model shall see, as bands", False),
    "unlabelled": Kind("Images without labels", "nothing, if they show none of the classes", False),
    "small": Kind("Objects that are left out as too small", "label at a finer resolution, if they matter", False),
    "cut": Kind("Objects of which less than half is in the image", "take them out, if they cannot be made out", False),
    "crowd": Kind("Crowds of objects, which are left out", "label the objects one by one, if they matter", False),
    "angles": Kind("Angles that may be radians", "write degrees, counter-clockwise, or a polygon of corners", False),
    "names": Kind("Names of classes that differ by case or blanks", "write a class in one way", False),
    "no_example": Kind("Classes without examples", "label some, or divide the dataset otherwise", False),
    "one_class": Kind("One class only", "label another one: the model cannot go wrong, nor learn", False),
    "colours": Kind(
        "Colours that contradict the table", "see whether the numbers in the mask mean what they should", False
    ),
    "ignored": Kind("Masks without any class", "take them out, or label some of the pixels", False),
    "same_dates": Kind("Pairs of one and the same image", "see whether both dates are right", False),
}


def refuse(finding: Finding) -> None:
    """Raise what is wrong; let doubts pass.

    Raises:
        InputError: the finding is more than a doubt.
    """
    if KINDS[finding.kind].stops:
        raise InputError(finding.text)
