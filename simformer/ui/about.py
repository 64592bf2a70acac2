"""The About tab: what weak-shot segmentation is, how to train on one's own classes, and the licences."""

from __future__ import annotations

import gradio as gr

from simformer.paths import STATIC
from simformer.splits import DATASET_TITLES
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.html import html_table, wrapped

DIAGRAM = STATIC / "weak_shot.svg"

WHAT_IT_IS = """## Weak-shot segmentation

Drawing masks is slow, so a segmentation model usually knows only the few classes that somebody has drawn.
Weak-shot segmentation adds **novel** classes, of which training knows no more than which photos show them, to the
**base** classes that have pixel masks.
SimFormer splits the task in two: queries propose masks and name them, and cutting out a thing is learnt from base
classes well enough to serve novel ones, which only have to be named.
A second, small network learns on base classes whether two pixels of two photos belong to the same class, and that
judgement guides the masks of novel classes.
On the Segment tab you see what this gives beside activation maps (CAM) and beside masks for every class (FullyOracle);
Results says how large the gap is, and Annotation cost what closing it costs.
"""

PAPER = """## The paper

J. Chen, L. Niu, S. Zhou, J. Si, C. Qian, L. Zhang: *Weak-shot Semantic Segmentation via Dual Similarity Transfer*,
NeurIPS 2022: [arXiv](https://arxiv.org/abs/2210.02270), [reviews](https://openreview.net/forum?id=qSYVigfakqS),
[the authors' code](https://github.com/bcmi/SimFormer-Weak-Shot-Semantic-Segmentation).
This project implements the method anew; numbers are marked as published or measured.
"""

OWN_CLASSES = """## Train on your own classes

A data set is a folder:

```
images/NAME.jpg        photos (jpg, png or bmp)
labels/NAME.png        8-bit class indices of the photo's size, 255 where nothing is labelled
classes.txt            one class name a line; the line number, from 0, is the index
train.txt, val.txt     names without extension
image_labels.csv       optional, columns photo,class: classes a photo shows that have no pixels in its label map
```

Say which classes are novel and train; then segment with the result:

```
pip install -r requirements.txt -r train/requirements.txt
python -m train train/configs/own_data.yaml data=DIR novel='[dog, bicycle]' out=runs/mine
python -m simformer segment photo.jpg --weights runs/mine/weights.safetensors --out masks
```

Novel classes need no pixels at all: list them in `image_labels.csv`.
"""

PHOTOS = {
    "msrc21": "Microsoft Research Cambridge, for research use; not part of this project",
    "nyuv2": "NYU Depth V2 (Silberman et al.), for research use; not part of this project",
}
"""Whom the photos are from that shipped models were trained on."""


def licences(dataset: str) -> list[tuple[str, str]]:
    """What is under which licence on the page of a data set; of one's own it says nothing."""
    title, photos = DATASET_TITLES.get(dataset), PHOTOS.get(dataset)
    trained = [("Trained weights", f"MIT; trained on the photos of {title}"), (f"{title} photos", photos)]
    examples = ("Example photos", "carried by the installed packages scikit-image, scikit-learn and Gradio")
    return [("Code", "MIT"), *((what, words) for what, words in trained if photos and words), examples]


def diagram() -> str:
    """The drawing as inline SVG, which takes its colors from the page."""
    return DIAGRAM.read_text(encoding="utf-8")


def build(context: PageContext) -> None:
    """Put the tab into the context that is open."""
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            gr.Markdown(WHAT_IT_IS)
            gr.Markdown(PAPER)
        with gr.Column(scale=2, min_width=300):
            gr.HTML(diagram())
    gr.Markdown(OWN_CLASSES)
    rows = [[what, wrapped(licence)] for what, licence in licences(context.models.dataset)]
    gr.HTML(html_table("Licences", ("What", "Licence"), rows))
