"""The named endpoints: what `gradio_client` and MCP clients call. They answer with data, not with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from simformer.errors import SimFormerError
from simformer.splits import Roles, named_roles
from simformer.ui.parts.dataset import find_dataset
from simformer.ui.parts.events import MODEL_QUEUE
from simformer.ui.parts.inputs import PhotoInput, failure
from simformer.ui.parts.models import FIRST_SPLIT, Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.exporting import file_name, new_folder
from simformer.weights import short_name

if TYPE_CHECKING:
    from PIL import Image

    from simformer.segmentation import Segmentation


# Of a model's name and of roles together, which may name every class there can be.
LONGEST_WORDS = 20_000


def answer_photo(
    models: Models, photo: str | None, model: str, threshold: float | None, roles: str = ""
) -> tuple[dict[str, Any], str]:
    """One photo's answer and label map, as the endpoint `/segment` describes them.

    Args:
        model: its name; empty for the first SimFormer.
        roles: a split, or novel classes with commas between, composed of several models in place of `model`; or empty.

    Raises:
        gr.Error: one sentence.
    """
    try:
        if photo is None or threshold is None:
            raise SimFormerError("the photo or the threshold is missing")
        if len(model) + len(roles) > LONGEST_WORDS:
            raise SimFormerError(f"model and roles have more than {LONGEST_WORDS:,} characters")
        image = Photo(photo).image
        if roles:
            result = whole_photo(models, named_roles(models.dataset, models.classes, roles), image, threshold)
        else:
            model = model or next(iter(models.offered or models.names), FIRST_SPLIT)
            result = models.predictor(model).segment(image, threshold=threshold)
    except SimFormerError as error:
        raise failure(error) from error
    file = new_folder() / file_name(Path(photo), result.model, ".png")
    result.label_image().save(file)
    height, width = result.size
    answer = {
        "model": result.model,
        "size": {"width": width, "height": height},
        "unsure": result.unsure,
        "table": [asdict(row) for row in result.table()],
        "classes": list(result.classes),
        "roles": list(result.roles),
        "probably_unknown": doubted(models, result),
    }
    return answer, str(file)


def doubted(models: Models, result: Segmentation) -> bool | None:
    """Whether the photo probably shows none of the known classes; None if that was not fitted for the model."""
    from simformer.ui.segment.stranger import probably_unknown

    name = short_name(result.model)
    if models.familiarity is None or name not in models.familiarity.models:
        return None
    return probably_unknown(models, {name: result}) is not None


def whole_photo(models: Models, roles: Roles, image: Image.Image, threshold: float) -> Segmentation:
    """The photo at its own size with roles that no single model need have had.

    Raises:
        ConfigError: no model had any class in its role. CheckpointError: a model cannot be used.
    """
    from simformer.composition import ComposedPredictor

    parts = {name: models.predictor(name) for name in models.composed(roles).predictors}
    return ComposedPredictor(parts, roles).segment(image, threshold=threshold)


def build(shown: Sequence[Models]) -> None:
    """Put the endpoint into the open Blocks context. Its components are never shown. shown: of every data set."""

    def segment(
        photo: str, model: str = "", threshold: float = 0.0, roles: str = "", dataset: str = ""
    ) -> tuple[dict[str, Any], str]:
        """Segment a photo: a class for every pixel.

        Args:
            photo: The photo.
            model: A shipped model: split1 and the like (SimFormer), cam, or oracle (trained on masks of every class);
                empty for the data set's first SimFormer.
            threshold: Pixels whose best score is below it (0 to 1) become unsure, 255 in the label map.
            roles: Instead of the model: a split (s2), or novel classes with commas between (cat,dog), all others base;
                each class then comes from a shipped model that had it in that role.
            dataset: Whose models: msrc21 or nyuv2; empty for those that the page opens with.

        Returns:
            What was found (model, size, unsure share, a table with each class's index, name, role, area share and
            mean score, and whether the photo probably shows none of the classes, null where that is not known), and
            the label map: a palette PNG of class indices at the photo's own size.
        """
        try:
            models = find_dataset(shown, dataset)
        except SimFormerError as error:
            raise failure(error) from error
        return answer_photo(models, photo, model, threshold, roles)

    with gr.Row(visible=False):
        gr.Button().click(
            segment,
            [
                PhotoInput(label="Photo", type="filepath"),
                gr.Textbox("", label="Model"),
                gr.Number(0, minimum=0, maximum=1, label="Unsure below this score"),
                gr.Textbox("", label="Roles"),
                gr.Textbox("", label="Data set"),
            ],
            [gr.JSON(label="What was found"), gr.File(label="Label map")],
            api_name="segment",
            concurrency_id=MODEL_QUEUE,
            concurrency_limit=1,
        )
