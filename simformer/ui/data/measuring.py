"""The step Measure: the commands that train on this folder, for the novel classes one chooses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr

from simformer.ui.data.photos import OwnData
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint

RUNS = "runs"


def commands(data: Path, novel: Sequence[str]) -> str:
    """Shell commands that train a SimFormer+ with these novel classes, a FullyOracle and a CAM, and show them.

    Without a novel class there is no SimFormer+: training on masks of every class gives FullyOracle.
    """
    folder = shlex.quote(str(data))
    lines = ["pip install -r requirements.txt -r train/requirements.txt", ""]
    models = ["oracle", "cam"]
    if novel:
        names = shlex.quote(f"novel={json.dumps(list(novel), ensure_ascii=False)}")
        models.insert(0, "mine")
        lines += [f"python -m train train/configs/own_data.yaml data={folder} {names} out={RUNS}/mine"]
    lines += [
        f"python -m train train/configs/own_data.yaml split=all_base pairing=none data={folder} out={RUNS}/oracle",
        f"python -m train train/configs/msrc21_cam.yaml dataset=custom split=all_base data={folder} schedule=own "
        f"out={RUNS}/cam",
        "",
        f"mkdir -p {RUNS}/models",
        *(f"cp {RUNS}/{name}/weights.safetensors {RUNS}/models/{name}.safetensors" for name in models),
        f"SIMFORMER_WEIGHTS={RUNS}/models python app.py --data {folder}",
    ]
    return "\n".join(lines)


def told(classes: Sequence[str], novel: Sequence[str]) -> str:
    """What these commands train, in a sentence."""
    if not novel:
        return hint(
            "No class is novel, so this trains FullyOracle: the network with masks for every class, which is what the "
            "others are compared with. Choose the classes that have no masks, or shall do without."
        )
    if len(novel) == len(classes):
        return hint("Without any base class there is nothing that masks could be learnt from: leave some out.")
    names = escape(", ".join(novel))
    return hint(
        f"SimFormer+ learns {names} from image labels and the others from masks; FullyOracle and CAM stand beside it "
        "on the page. Label maps of novel classes are read for evaluation alone."
    )


def measure(own: OwnData, novel: list[str]) -> tuple[str, str]:
    """(what is trained as HTML, commands) for a choice of novel classes."""
    classes = own.dataset.classes
    chosen = [name for name in classes if name in novel]
    return told(classes, chosen), commands(own.dataset.root.resolve(), chosen if len(chosen) < len(classes) else [])


def build(own: OwnData) -> None:
    """Put the step into the page, in the context that is open."""
    text, lines = measure(own, [])
    novel = gr.CheckboxGroup(
        list(own.dataset.classes),
        label="Novel classes",
        info="Learnt from image labels; the others are base, learnt from masks.",
        elem_id="own-novel",
        elem_classes="many",
    )
    sentence = gr.HTML(text, elem_id="own-training")
    # Of no language: the colors of one are too faint on white.
    code = gr.Code(
        lines, interactive=False, label="In the project's folder", wrap_lines=True,
        elem_id="own-commands", lines=1, max_lines=30,
    )  # fmt: skip
    listen(novel.change, partial(measure, own), novel, [sentence, code], last=True)
