"""A photo goes in, the same photo comes out as every shipped model sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from simformer.errors import SimFormerError
from simformer.paths import ROOT
from simformer.splits import Roles
from simformer.ui.parts.class_table import class_rows, table_html
from simformer.ui.parts.html import empty
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import CAM, ORACLE, SIMFORMER, TRAINED, TRAINING, Choice, Models, title
from simformer.ui.parts.photos import Photo, Shown
from simformer.ui.segment import roles
from simformer.ui.segment.draw import View, class_overlay, describe, role_overlay, views_html
from simformer.ui.segment.stranger import notice
from simformer.ui.segment.truth import outlined, score, truth_views
from simformer.weights import MSRC21, weights_folder

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation

EMPTY = empty(
    "Choose a photo: upload one, paste it, take it with the camera, or click an example. Its views appear here."
)
# True also for a visitor who leaves the queue.
OPENING = empty("The photo's views appear here.")
COMING, STOPPED = "on its way …", "Stopped."
NO_PHOTO = "There is no photo yet: choose one above, or click an example."
# What a handler gives the page: views, table and status, each HTML or an update.
Panels = tuple[Any, Any, Any]


def segment_photo(
    models: Models, path: str | None, split: str | None, left_out: float, *, stopped: bool = False
) -> Iterator[Panels]:
    """Segment a photo, model after model.

    What is remembered from earlier is shown at once, so leaving out more or less runs no network.

    Args:
        path: the photo's file, None if there is none.
        split: the SimFormer to use, as `Models.find` reads it; None if none is shipped.
        left_out: percent of the pixels, the least certain ones of each model, that are unsure.
        stopped: no network runs: what is not remembered stays unknown, and says so.

    Yields:
        (views, table, status) as HTML, after each model and while waiting for one to load.

    Raises:
        gr.Error: one sentence; the photo cannot be read, or there is no model at all.
    """
    if path is None:
        yield EMPTY, "", NO_PHOTO
        return
    try:
        yield from _segment(models, Photo(path), split, left_out, stopped)
    except SimFormerError as error:
        yield empty(str(error)), "", ""
        raise failure(error) from error


def _segment(models: Models, photo: Photo, split: str | None, left_out: float, stopped: bool) -> Iterator[Panels]:
    chosen = models.find(split)
    names = [choice for choice in map(models.find, (CAM, split, ORACLE)) if choice is not None]
    if split is not None and chosen is None:
        unknown = f"there is no model {split!r} here, nor can one be composed of those that are"
        raise SimFormerError(models.damaged.get(split, unknown))
    if not names:
        raise SimFormerError(missing_sentence(models))
    shown = models.shown(photo)
    truth = outlined(models, photo, chosen)
    found: dict[Choice, Segmentation] = {}
    problems: dict[Choice, str] = {}
    todo = [name for name in names if not known(models, name, photo)]
    seconds = 0.0

    def panels(status: str) -> Panels:
        coming = STOPPED if stopped else COMING
        views = [photo_view(shown), *truth_views(truth), *model_views(names, chosen, found, problems, truth, coming)]
        in_order = [found[name] for name in (chosen, ORACLE, CAM) if name is not None and name in found]
        in_order += [truth] if truth else []
        pictures = views_html(shown, views, in_order, notice(models, found))
        return pictures, class_table(chosen, found, served_by(models, chosen, found)), status

    for name in names:
        if name not in todo:
            found[name] = models.segment(name, photo, left_out)
    if stopped:
        yield panels(STOPPED)
        return
    for name in todo:
        yield panels(f"{escape(title(name))} is looking at the photo.")
        for progress in models.waiting(name):
            yield gr.skip(), gr.skip(), progress
        started = time.perf_counter()
        try:
            found[name] = models.segment(name, photo, left_out)
        except SimFormerError as error:
            problems[name] = str(error)
        seconds += time.perf_counter() - started
    served = served_sentence(models, chosen) if isinstance(chosen, Roles) and chosen in found else ""
    yield panels(f"{summary(shown, found, problems, seconds)} {served}".strip())


def known(models: Models, name: Choice, photo: Photo) -> bool:
    """Whether a model's answer is remembered; not if it cannot be had, which asking for it says in a sentence."""
    try:
        return models.knows(name, photo)
    except SimFormerError:
        return False


def photo_view(shown: Shown) -> View:
    """The photo itself."""
    height, width = shown.full_size
    return View("photo", "Photo", f"{width} × {height} pixels")


def model_views(
    names: list[Choice],
    split: Choice | None,
    found: dict[Choice, Segmentation],
    problems: dict[Choice, str],
    truth: Segmentation | None,
    coming: str,
) -> list[View]:
    """The base/novel map, where there is a SimFormer, and one view for each model in `names`.

    Args:
        found: segmentations by model. problems: why a model has none. coming: what is said of the others.
        truth: what the models are scored by, if the photo is outlined.
    """
    notes: dict[Choice, str] = {CAM: "image labels only", ORACLE: "masks for every class"}

    def view(key: str, heading: str, note: str, model: Choice, *, names_from: str) -> View:
        if model not in found:
            return View(key, heading, note, message=problems.get(model, coming))
        segmentation = found[model]
        if key == "roles":
            return View(key, heading, note, role_overlay(segmentation), describe(segmentation), names_from)
        overlay, how_well = class_overlay(segmentation), score(segmentation, truth)
        chosen = str(Roles(segmentation.roles)) if key == SIMFORMER else ""
        return View(key, heading, note, overlay, describe(segmentation), names_from, score=how_well, roles=chosen)

    views = []
    if split is not None:
        views.append(view("roles", "Base and novel", "red: masks, blue: labels", split, names_from=SIMFORMER))
    for name in names:
        note = notes.get(name, "masks for base, labels for novel")
        key = SIMFORMER if name == split else str(name)
        views.append(view(key, title(name), note, name, names_from=key))
    return views


def served_by(models: Models, split: Choice | None, found: dict[Choice, Segmentation]) -> dict[str, str]:
    """For roles that no single model had: class -> title of the model it came from."""
    if split not in found or not isinstance(split, Roles):
        return {}
    assignment = models.composed(split).assignment
    served = zip(assignment.classes, assignment.models, strict=True)
    return {name: "no model" if model is None else roles.short_title(model) for name, model in served}


def class_table(split: Choice | None, found: dict[Choice, Segmentation], served: dict[str, str]) -> str:
    """The table of SimFormer, compared with CAM; without a SimFormer that of the first model there is."""
    if not found:
        return ""
    main = split if split is not None and split in found else next(iter(found))
    other = found.get(CAM) if main != CAM else None
    return table_html(class_rows(found[main], other), title(main), title(CAM) if other else None, served)


def summary(shown: Shown, found: dict[Choice, Segmentation], problems: dict[Choice, str], seconds: float) -> str:
    """The last status: which models answered, and how long those took that had to run."""
    height, width = shown.full_size
    text = f"{' · '.join(escape(title(name)) for name in found) or 'No model'} on {width} × {height} pixels"
    if seconds:
        text += f" in {seconds:.1f} s"
    return text + "." + "".join(f" {escape(title(name))}: {escape(problem)}" for name, problem in problems.items())


def served_sentence(models: Models, wanted: Roles) -> str:
    """Which model each class came from and how far its roles are from the wanted ones, which classes no model had in
    the wanted role, and what could not be used."""
    composed = models.composed(wanted)
    assignment = composed.assignment
    parts = []
    for model in assignment.used:
        served = [c for c, m in zip(assignment.classes, assignment.models, strict=True) if m == model]
        away = sum(had != asked for had, asked in zip(models.roles_of(model), wanted, strict=True))
        differ = f"{away} of {len(wanted)} roles {'differs' if away == 1 else 'differ'}"
        parts.append(f"{escape(title(model))} ({differ}) serves {escape(', '.join(served))}.")
    if assignment.unserved:
        missing = ", ".join(assignment.unserved)
        parts.append(f"No shipped model had these in the wanted role, so they are not shown: {escape(missing)}.")
    parts += honest_sentences(composed.more_masks, wanted)
    parts += [f"{escape(title(name))} is left out: {escape(problem)}." for name, problem in models.damaged.items()]
    return " ".join(parts)


def honest_sentences(more_masks: Sequence[str], wanted: Roles) -> list[str]:
    """That the models behind a composed picture had more masks than the chosen roles, and what none at all would give.

    Args:
        more_masks: classes wanted as novel of which one of the models had masks.
    """
    if not more_masks:
        return []
    if "base" not in wanted:
        return [
            "No class has masks in these roles, but every model behind this picture had some: "
            f"what image labels alone give is {escape(title(CAM))}'s view."
        ]
    listed = ", ".join(more_masks)
    return [
        f"The models behind this picture had more masks than these roles, also of {escape(listed)}: "
        "a model trained with just these roles would have learnt from fewer."
    ]


def how_to_train(models: Models, name: str) -> str:
    """The command that trains a missing model."""
    return TRAINING[name].format(dataset=models.folder if models.folder in TRAINED else MSRC21)


def missing_sentence(models: Models) -> str:
    """Which models the page lacks and how to make them, which it leaves out and which cannot be used; or nothing."""
    sentences = []
    if models.missing:
        what = ", ".join(f"{title(name)} (train it: {how_to_train(models, name)})" for name in models.missing)
        folder = weights_folder() / models.folder
        place = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
        sentences.append(f"There are no weights in {place} for {what}.")
    if models.left_out:
        names = ", ".join(models.left_out)
        sentences.append(f"Of other classes than most models in {weights_folder()}, so not shown: {names}.")
    sentences += [f"{title(name)} is not shown: {problem}." for name, problem in models.damaged.items()]
    return " ".join(sentences)
