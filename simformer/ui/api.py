"""The named endpoints: what `gradio_client` and MCP clients call. They answer with data, not with pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from simformer.errors import SimFormerError
from simformer.ui.parts.events import MODEL_QUEUE
from simformer.ui.parts.inputs import PhotoInput, failure
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.exporting import new_folder


def answer_photo(models: Models, photo: str, model: str, threshold: float) -> tuple[dict[str, Any], str]:
    """One photo's answer and label map, as the endpoint `/segment` describes them.

    Raises:
        gr.Error: one sentence.
    """
    try:
        result = models.predictor(model).segment(Photo(photo).image, threshold=threshold)
    except SimFormerError as error:
        raise failure(error) from error
    file = new_folder() / f"{Path(photo).stem}-{result.model}.png"
    result.label_image().save(file)
    height, width = result.size
    answer = {
        "model": result.model,
        "size": {"width": width, "height": height},
        "unsure": result.unsure,
        "table": [asdict(row) for row in result.table()],
        "classes": list(result.classes),
        "roles": list(result.roles),
    }
    return answer, str(file)


def build(models: Models) -> None:
    """Put the endpoints into the open Blocks context. Their components are never shown."""
    default = next(iter(models.simformers or models.names), "split1")

    def segment(photo: str, model: str = default, threshold: float = 0.0) -> tuple[dict[str, Any], str]:
        """Segment a photo: a class for every pixel.

        Args:
            photo: The photo.
            model: A shipped model: split1 and the like (SimFormer), cam, or oracle (trained on masks of every class).
            threshold: Pixels whose best score is below it (0 to 1) become unsure, 255 in the label map.

        Returns:
            What was found (model, size, unsure share, and a table with each class's index, name, role, area share
            and mean score), and the label map: a palette PNG of class indices at the photo's own size.
        """
        return answer_photo(models, photo, model, threshold)

    with gr.Row(visible=False):
        gr.Button().click(
            segment,
            [
                PhotoInput(label="Photo", type="filepath"),
                gr.Textbox(default, label="Model"),
                gr.Number(0, minimum=0, maximum=1, label="Unsure below this score"),
            ],
            [gr.JSON(label="What was found"), gr.File(label="Label map")],
            api_name="segment",
            concurrency_id=MODEL_QUEUE,
            concurrency_limit=1,
        )
