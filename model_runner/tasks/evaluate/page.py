# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of an evaluation."""

from datetime import datetime
from pathlib import Path

from model_runner.contract.folders import program_name
from model_runner.contract.model_card import ModelCard
from model_runner.contract.task_requests import EvaluateRequest
from model_runner.evaluation.measured import Measured
from model_runner.inference.computing import Computer
from model_runner.reports.page import cards, facts, render_page, section
from model_runner.tasks.evaluate.comparison import comparison

DOING = {
    "detect": "oriented detection",
    "segment": "segmentation",
    "change": "change detection",
    "classify": "scene classification",
}


def evaluation_page(
    request: EvaluateRequest,
    split: str | None,
    card: ModelCard,
    computer: Computer,
    measured: Measured,
    against: tuple[ModelCard, Measured] | None,
    seconds: float,
) -> str:
    """The page as HTML: main figures, those of another model beside them, the sections of the task and the facts."""
    data = Path(request.data).resolve()
    lead = f"{DOING[request.task].capitalize()} by {card.id}, measured on {data.name}"
    if split is not None:
        lead += f" ({split})"
    if request.reference is not None:
        lead += f" against {Path(request.reference).name}"
    told = {
        "model": f"{card.id}: {card.title}",
        "network": card.network,
        "weights (SHA-256)": card.weights_sha256,
        "data": str(data),
        "part": split,
        "later raster": request.after and str(Path(request.after).resolve()),
        "reference": request.reference and str(Path(request.reference).resolve()),
        "features that count": request.where,
        "bands": request.bands,
        "bands of the later raster": request.after_bands,
        "colours matched": "yes" if request.match_colours else None,
        "extent": request.extent,
        "area that counts": request.area,
        "resolution": request.resolution and f"{request.resolution:g} m a pixel",
        "tile size": request.tiling.tile_size,
        "overlap of tiles": request.tiling.overlap,
        "mirrored views": "yes" if request.flips else None,
        "largest overlap of two objects": request.nms_iou,
        "images": measured.figures.get("images"),
        "objects": measured.figures.get("objects"),
        "smallest score" if request.task == "detect" else "smallest probability": measured.figures.get("threshold"),
        "computed on": str(computer),
        "duration": f"{seconds:.0f} s",
        "finished": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "program": program_name(),
        "the model learnt from": card.training_data,
        "known limits": card.limits,
    }
    return render_page(
        f"How well {card.id} does",
        lead,
        (
            cards({name: measured.figures[name] for name in measured.main}),
            comparison(card.id, against[0].id, measured.figures, against[1].figures) if against else "",
            *measured.sections,
            section("What was measured", facts(told)),
        ),
    )
