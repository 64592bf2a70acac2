"""How long one photo takes and how much memory it needs, all networks side by side in one run."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np
import torch
from pydantic import BaseModel

from simformer.bench.machine import gigaflops_of
from simformer.bench.plain import PlainPredictor
from simformer.cam import CamConfig
from simformer.checkpoint import build_network
from simformer.inference.engines import speed_up
from simformer.inference.shared_backbone import SharedBackbones
from simformer.interop.onnx import OnnxPredictor
from simformer.model import ModelConfig, SimFormer
from simformer.predictor import Predictor
from simformer.splits import dataset_classes
from simformer.weights import Card, Inference, models_of, read_card, readable_cards, shown_dataset

PHOTO_WIDTH, PHOTO_HEIGHT = 320, 240
DEFAULT_IMAGE_SIZE = 224
PAPER_IMAGE_SIZE = 640  # short side of the paper's tests on COCO-Stuff-10K
EXACT_SIZES = ((320, 480), (512, 640))  # height, width
NOISE = np.random.default_rng(0).integers(0, 256, (*np.max(EXACT_SIZES, axis=0), 3), dtype=np.uint8)
_photo_numbers = count()
WARM_UP = 2
AnyPredictor = Predictor | PlainPredictor | OnnxPredictor
# A slow row stops after this many seconds, once it has the fewest runs from which quartiles can be read.
ROW_SECONDS = 15.0
FEWEST_RUNS = 5
Kind = Literal["simformer", "cam"]


@dataclass(frozen=True)
class Subject:
    """What one row of the table runs.

    Attributes:
        networks: each a shipped weights file, or a card (a network with random weights); with "onnx" an ONNX file.
        photo: (height, width).
        inference: the predictor's own, exact (`simformer.inference.exact`), what that computes written down plainly, or
            ONNX Runtime's, or in OpenVINO.
    """

    name: str
    networks: tuple[Path | Card, ...]
    photo: tuple[int, int] = (PHOTO_HEIGHT, PHOTO_WIDTH)
    inference: Literal["fast", "exact", "plain", "onnx", "openvino"] = "fast"

    @property
    def random(self) -> bool:
        """Whether any of its networks has random weights."""
        return any(isinstance(network, Card) for network in self.networks)


@dataclass(frozen=True)
class Row:
    """Measurements of one subject.

    Attributes:
        seconds: median over `runs` of the time from the photo in memory to its label map.
        quartiles: 25% and 75% of the same.
        memory: highest resident memory, MiB, of a process that does nothing else, before it loads the
            networks (Python, torch, timm) and after it segmented the photo; None where it cannot be read.
        parameters: of all its networks together; None where the networks do not tell (ONNX, OpenVINO).
        gigaflops: billions of operations a photo; None as above.
        image_size: test-time short side of the (last) network, pixels.
        random: some weights are random: time and memory do not depend on their values.
    """

    name: str
    seconds: float
    quartiles: tuple[float, float]
    runs: int
    memory: tuple[float, float] | None
    parameters: int | None
    gigaflops: float | None
    image_size: int
    random: bool


def subjects(*, paper: bool = True) -> list[Subject]:
    """SimFormer, CAM and both in turn, these with OpenVINO, too, where it is installed, and the paper-size network.

    That one at SimFormer's image size and at the paper's. Shipped weights where there are any, else the default
    configurations with random weights.
    """
    simformer: Path | Card = shipped("simformer") or random_card("simformer")
    activation_maps: Path | Card = shipped("cam") or random_card("cam")
    card = read_card(simformer) if isinstance(simformer, Path) else simformer
    rows = [
        Subject("SimFormer", (simformer,)),
        Subject("CAM", (activation_maps,)),
        Subject("SimFormer and CAM", (simformer, activation_maps)),
    ]
    if "openvino" in engines() and isinstance(simformer, Path) and isinstance(activation_maps, Path):
        rows += [
            Subject("SimFormer, OpenVINO", (simformer,), inference="openvino"),
            Subject("SimFormer and CAM, OpenVINO", (simformer, activation_maps), inference="openvino"),
        ]
    if paper:
        architecture = ModelConfig.paper(len(card.classes)).model_dump()
        for size in dict.fromkeys((card.image_size, PAPER_IMAGE_SIZE)):
            paper_card = card.model_copy(update={"architecture": architecture, "image_size": size})
            rows.append(Subject(f"paper-size network, {size} px", (paper_card,)))
        rows += exact_subjects()
    return rows


def engines() -> list[str]:
    """What can run a network here."""
    return ["torch", "openvino"] if importlib.util.find_spec("openvino") else ["torch"]


def shipped(kind: Kind) -> Path | None:
    """Weights of the first model of a kind that the page shows; None if there is none."""
    models = models_of(shown_dataset())
    cards, _ = readable_cards(models)
    return next((models[name] for name, card in cards.items() if card.kind == kind), None)


def exact_subjects() -> list[Subject]:
    """The paper's network for COCO-Stuff-10K, exact and plain, on photos of the size of the network's input."""
    classes = dataset_classes("coco_stuff_10k")
    card = random_card("simformer", "coco_stuff_10k", ModelConfig.paper(len(classes)))
    return [
        Subject(
            f"paper's network, {inference}, {height}x{width}",
            (card.model_copy(update={"image_size": min(height, width)}),),
            (height, width),
            inference,
        )
        for height, width in EXACT_SIZES
        for inference in ("plain", "exact")
    ]


def onnx_subject(path: Path) -> Subject:
    """An ONNX file on a photo of the size of its input."""
    height, width = OnnxPredictor(path).size
    return Subject(f"{path.name}, ONNX Runtime, {height}x{width}", (path,), (height, width), "onnx")


def random_card(kind: Kind, dataset: str = "msrc21", config: BaseModel | None = None) -> Card:
    """Card of a network of a kind ("simformer", "cam") for a data set's classes; the default network unless told."""
    classes = dataset_classes(dataset)
    if config is None:
        config = CamConfig(num_classes=len(classes)) if kind == "cam" else ModelConfig(num_classes=len(classes))
    return Card(
        kind=kind,
        architecture=config.model_dump(),
        classes=classes,
        roles=("base",) * len(classes),
        dataset=dataset,
        split="all_base",
        image_size=DEFAULT_IMAGE_SIZE,
        note="random weights",
    )


def measure(rows: Sequence[Subject], *, threads: int = 2, repeats: int = 20) -> list[Row]:
    """Time every subject on one photo, taking turns so that a busy machine slows all alike, and weigh each.

    Args:
        rows: what to run.
        threads: of torch.
        repeats: timed runs of each; slow subjects stop earlier, after 15 s and at least 5 runs.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        loaded = [load(row) for row in rows]
        actions = [lambda p=each, size=row.photo: run(p, size) for row, each in zip(rows, loaded, strict=True)]
        seconds = take_turns(actions, repeats)
    finally:
        torch.set_num_threads(before)
    result = []
    for row, predictors, times in zip(rows, loaded, seconds, strict=True):
        low, median, high = np.percentile(times, (25, 50, 75)).tolist()
        result.append(
            Row(
                name=row.name,
                seconds=median,
                quartiles=(low, high),
                runs=len(times),
                memory=peak_memory(row, threads),
                parameters=count_parameters(predictors),
                gigaflops=count_operations(predictors, row.photo),
                image_size=min(row.photo) if row.inference == "onnx" else predictors[-1].card.image_size,
                random=row.random,
            )
        )
    return result


def take_turns(actions: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each run of each action: first a warm-up, then rounds in which every action has a turn."""
    for action in actions:
        for _ in range(WARM_UP):
            action()
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats):
        for action, times in zip(actions, seconds, strict=True):
            if sum(times) > ROW_SECONDS and len(times) >= FEWEST_RUNS:
                continue
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
    return seconds


def count_parameters(predictors: Sequence[AnyPredictor]) -> int | None:
    """Of all networks together; None if PyTorch does not run one."""
    torch_ones = [each for each in predictors if in_torch(each)]
    if len(torch_ones) < len(predictors):
        return None
    return sum(p.numel() for each in torch_ones for p in each.network.parameters())


def count_operations(predictors: Sequence[AnyPredictor], size: tuple[int, int]) -> float | None:
    """Billions of operations of a photo of (height, width); None if PyTorch does not run one of the networks."""
    return gigaflops_of(lambda: run(predictors, size)) if all(map(in_torch, predictors)) else None


def in_torch(predictor: AnyPredictor) -> TypeGuard[Predictor | PlainPredictor]:
    """Whether PyTorch runs it."""
    return not isinstance(predictor, OnnxPredictor) and getattr(predictor, "engine", "torch") == "torch"


def load(subject: Subject) -> list[AnyPredictor]:
    """Predictors of a subject's networks, on the CPU, with torch's number of threads."""
    backbones = SharedBackbones()
    return [load_one(subject, network, backbones) for network in subject.networks]


def load_one(subject: Subject, network: Path | Card, backbones: SharedBackbones) -> AnyPredictor:
    exact = subject.inference == "exact"
    if isinstance(network, Path):
        if subject.inference == "onnx":
            return OnnxPredictor(network, torch.get_num_threads())
        engine = "openvino" if subject.inference == "openvino" else "torch"
        return Predictor.load(network, "cpu", exact=exact, backbones=backbones, engine=engine)
    built = build_network(network).eval().requires_grad_(False)
    assert isinstance(built, SimFormer) or subject.inference == "fast"
    if isinstance(built, SimFormer) and subject.inference == "plain":
        return PlainPredictor(built, network)
    speed_up(built, backbones)
    return Predictor(built, network, subject.name, inference=Inference(exact=exact))


def run(predictors: Sequence[AnyPredictor], size: tuple[int, int]) -> None:
    """Segment one photo of (height, width) with each. Content does not matter for time, so it is noise."""
    height, width = size
    # Every time another one: predictors that share a backbone remember what it saw last.
    photo = NOISE[:height, :width] ^ np.uint8(next(_photo_numbers) % 256)
    for predictor in predictors:
        predictor.segment(photo)


def peak_memory(subject: Subject, threads: int) -> tuple[float, float] | None:
    """Peak memory, MiB, of a fresh process: before it loads the subject and after it segmented the photo."""
    # "spawn": a forked process would begin with this one's memory.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_peak_before_and_after, subject, threads).result()


def _peak_before_and_after(subject: Subject, threads: int) -> tuple[float, float] | None:
    torch.set_num_threads(threads)
    before = peak_of_this_process()
    run(load(subject), subject.photo)
    after = peak_of_this_process()
    return None if before is None or after is None else (before, after)


def peak_of_this_process() -> float | None:
    """Highest resident memory so far, MiB; None where the system does not tell (Windows)."""
    status = Path("/proc/self/status")
    # Linux hands the parent's ru_maxrss down to a started process, so the process's own mark comes first.
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
