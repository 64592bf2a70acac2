"""What the Own data tab shows, as HTML: progress, scores, cards, one photo."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simformer.batch.gallery import DIFFERENCE_COLORS, RIGHT, WRONG, Evaluation, Pair, PhotoScore, difference
from simformer.batch.score_tables import UNSURE
from simformer.labels import VOID
from simformer.ui.data.photos import Card, Labels, OwnData, Small, difference_overlay
from simformer.ui.parts.html import (
    chip,
    empty,
    hint,
    html_table,
    left_out,
    legend,
    progress_bar,
    role_mark,
    share_text,
    swatch,
)
from simformer.ui.segment.draw import View, describe, views_html
from simformer.utils.palette import hex_colors

DIFFERENCE_NAMES = {RIGHT: "right", WRONG: "wrong", VOID: "void: no truth"}
PICTURES = ("photo", "difference", "truth", "prediction")


def progress_html(done: int, total: int, seconds_left: float | None, problems: Sequence[str] = ()) -> str:
    """The bar, what it says in words, and what went wrong."""
    words = f"{done} of {total} photos evaluated"
    return progress_bar("Photos evaluated", done, total, words, seconds_left) + left_out(problems)


def scores_html(evaluation: Evaluation, novel: tuple[int, ...]) -> str:
    """Mean IoU and pixel accuracy over what has been evaluated."""
    scores = evaluation.scores(novel)
    values = {"mIoU, all": scores.miou, "base": scores.base, "novel": scores.novel, "pixels right": evaluation.accuracy}
    tiles = "".join(f"<div><dt>{name}</dt><dd>{number(value)}</dd></div>" for name, value in values.items())
    return f'<dl class="tiles">{tiles}</dl>'


def class_table_html(own: OwnData, evaluation: Evaluation, roles: Sequence[str]) -> str:
    """IoU of every class over what has been evaluated; a class that no truth shows has none."""
    scores, counts = evaluation.scores(), evaluation.matrix.counts
    if not counts.any():
        return hint("Evaluate the photos, or open one: the IoU of every class appears here.")
    truth, predicted, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    colors = hex_colors(own.dataset.classes)
    rows = [
        [
            f"{swatch(colors[name])}{escape(name)} {role_mark(role)}",
            "–" if iou is None else f"{iou:.1f}",
            share_text(truth[index] / total),
            share_text(predicted[index] / total),
        ]
        for index, (name, role, iou) in enumerate(zip(own.dataset.classes, roles, scores.per_class, strict=True))
    ]
    head = ("Class", "IoU %", "Truth", "Predicted")
    caption = f"IoU of each class over {_photos(scores.images)}, and its share of the labelled pixels"
    return html_table(caption, head, rows, numbers=(1, 2, 3))


def cards_html(
    own: OwnData,
    evaluation: Evaluation,
    cards: Sequence[tuple[int, Card]],
    total: int,
    class_index: int | None,
    pair: Pair | None = None,
) -> str:
    """The gallery: a list of buttons, each with the four pictures of a photo and its scores.

    Args:
        total: photos on all pages.
        class_index: the class they were filtered by; its IoU stands first.
        pair: true and predicted class, if they were filtered by what was taken for what.
    """
    if pair is not None:
        return _confused(own, evaluation, cards, total, pair)
    if not cards:
        name = "" if class_index is None else own.dataset.classes[class_index]
        return empty(f"No photo shows {name}, in its truth or in a prediction made so far.")
    items = "".join(_card(own, evaluation, index, card, class_index) for index, card in cards)
    return f'<p class="hint">{_photos(total)}</p><ul class="cards">{items}</ul>{difference_legend()}'


def _confused(own: OwnData, evaluation: Evaluation, cards: Sequence[tuple[int, Card]], total: int, pair: Pair) -> str:
    names = [*own.dataset.classes, UNSURE]
    truth, predicted = (names[index] for index in pair)
    what = f"in which {truth} is right" if truth == predicted else f"in which {truth} was taken for {predicted}"
    items = []
    for index, card in cards:
        pixels = evaluation.photos[index].confusion[pair]
        items.append(_card(own, evaluation, index, card, None, f"{truth} as {predicted}: {pixels:,} pixels"))
    return (
        f'<p class="hint" role="status">{_photos(total)} {escape(what)}, most pixels first</p>'
        f'<ul class="cards">{"".join(items)}</ul>{difference_legend()}'
    )


def difference_legend() -> str:
    """The three colors of difference maps."""
    chips = [chip(name, _hex(DIFFERENCE_COLORS[value])) for value, name in DIFFERENCE_NAMES.items()]
    return legend("Colors of the difference map", chips)


def photo_html(
    own: OwnData,
    index: int,
    small: Small,
    prediction: Labels | None,
    roles: Sequence[str],
    text: str,
    missing: str = "on its way …",
) -> str:
    """One photo, large: photo, truth, prediction and difference side by side, with its scores.

    Args:
        prediction: label map of any size; None if there is none.
        roles: "base" or "novel" for each class, or another word.
        text: what stands below the name, HTML.
        missing: what stands in place of a prediction that is not there.
    """
    height, width = small.shown.full_size
    views, found = [View("photo", "Photo", f"{width} × {height} pixels")], []
    if prediction is not None and small.truth is not None:
        different = difference(prediction, small.truth)
        share = (different == WRONG).sum() / max(1, (different != VOID).sum())
        note = f"{100 * share:.1f} % of the labelled pixels are wrong"
        overlay = difference_overlay(prediction, small.truth)
        views.append(View("difference", "Difference", "", overlay, note, "prediction"))
    for key, labels, message, unlabelled in (
        ("truth", small.truth, "This photo has no label map.", "void"),
        ("prediction", prediction, missing, "unsure"),
    ):
        view = View(key, key.capitalize(), "", message=message)
        if labels is not None:
            segmentation = own.segmentation(labels, roles, key)
            found.append(segmentation)
            text_of = describe(segmentation, unlabelled)
            view = View(key, key.capitalize(), "", own.overlay(labels), text_of, key, unlabelled=unlabelled)
        views.append(view)
    state, colors = ("compared", difference_legend()) if len(found) == 2 else ("", "")
    return (
        f'<div class="{state}"><h3 class="own-name">{escape(own.dataset.names[index])}</h3>{text}'
        f"{views_html(small.shown, views, found)}{colors}</div>"
    )


def score_text(own: OwnData, score: PhotoScore | None) -> str:
    """A photo's scores in one line and the IoU of each of its classes, worst first, as HTML."""
    if score is None:
        return hint("This photo has no score yet.")
    if score.problem:
        return hint(escape(score.problem))
    colors = hex_colors(own.dataset.classes)
    names = own.dataset.classes
    ious = sorted(score.ious.items(), key=lambda item: item[1])
    return f'<p class="own-score">mIoU {number(score.miou)} · pixels right {number(score.accuracy)}</p>' + legend(
        "IoU of each class in percent", [chip(names[i], colors[names[i]], f"{iou:.1f}") for i, iou in ious]
    )


def number(value: float | None) -> str:
    """A percentage, or a dash."""
    return "–" if value is None else f"{value:.1f} %"


def _card(
    own: OwnData, evaluation: Evaluation, index: int, card: Card, class_index: int | None, first: str = ""
) -> str:
    name = escape(own.dataset.names[index])
    score = evaluation.photos.get(index)
    problem = card.problem or (score.problem if score else "")
    head = f'<li><button class="card" type="button" data-index="{index}"'
    if problem:
        return f"{head}><strong>{name}</strong><span>{escape(problem)}</span></button></li>"
    words = "not evaluated yet" if score is None else f"mIoU {number(score.miou)} · right {number(score.accuracy)}"
    if first:
        words = f"{escape(first)} · {words}"
    elif score is not None and class_index is not None and class_index in score.ious:
        words = f"{escape(own.dataset.classes[class_index])} {number(score.ious[class_index])} · {words}"
    pictures = "".join(_picture(kind, getattr(card, kind)) for kind in PICTURES)
    return (
        f'{head} aria-label="{name}: {words}" style="--photo:url({card.photo})"><span class="quad">{pictures}</span>'
        f"<strong>{name}</strong><span>{words}</span></button></li>"
    )


def _picture(kind: str, uri: str) -> str:
    if kind == "photo":
        return '<span class="mini" data-kind="photo"></span>'
    state, inside = ("mini", f'<img src="{uri}" alt="">') if uri else ("mini none", "")
    return f'<span class="{state}" data-kind="{kind}">{inside}<span class="tag">{kind}</span></span>'


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
