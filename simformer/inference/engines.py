"""What runs a network: PyTorch, or on a CPU OpenVINO (`simformer.inference.openvino`), whichever is faster there."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, get_args

import torch
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.errors import ConfigError, SimFormerError
from simformer.inference.openvino import TRACED_SIDES, CompiledPixelDecoder, CompiledTransformer, processor
from simformer.inference.shared_backbone import SharedBackbones
from simformer.model import SimFormer
from simformer.paths import cache_folder
from simformer.utils.files import atomic_write
from simformer.weights import Inference

Engine = Literal["torch", "openvino"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
AUTO = "auto"
# Photo with which "auto" compares them, and how often each has a turn.
TRIAL_SIDES = (240, 320)
TRIAL_RUNS = 7


def speed_up(network: SimFormer | CamNetwork, backbones: SharedBackbones, engine: Engine = "torch") -> None:
    """Prepares a network in evaluation mode for inference alone: the same function up to rounding, in place.

    Batch norm is folded and channels are stored last, which takes nearly half of the time off on a CPU; the backbone
    becomes the equal one of `backbones`, if there is one. With OpenVINO only the last decoder layer answers.

    Raises:
        ConfigError: the engine is not installed, or cannot run this network.
    """
    network.set_submodule("backbone", backbones.share(network.backbone, engine))
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    if engine == "openvino" and isinstance(network, SimFormer):
        with torch.inference_mode():
            pyramid = network.features(torch.zeros(1, 3, *TRACED_SIDES))
        network.set_submodule("pixel_decoder", CompiledPixelDecoder(network.pixel_decoder, pyramid))
        network.set_submodule("transformer", CompiledTransformer(network.transformer, pyramid[-1]))


def chosen_engine(name: str, network: SimFormer | CamNetwork, inference: Inference) -> Engine:
    """The engine that `Predictor.load` is asked for.

    Args:
        name: an engine, or "auto": OpenVINO where it is installed, faster and able to.
        network: as `fastest_engine`.
        inference: how the network will be used.

    Raises:
        ConfigError: there is no such engine, or OpenVINO is asked for exact inference, or another device than the CPU.
    """
    if name not in (*ENGINES, AUTO):
        raise ConfigError(f"there is no engine {name!r}; there are {', '.join(ENGINES)} and {AUTO}")
    able = not inference.exact and next(network.parameters()).device.type == "cpu"
    if name == AUTO:
        return fastest_engine(network) if able else "torch"
    if name == "openvino" and not able:
        raise ConfigError("the engine openvino runs on the CPU, and not exact inference; take torch")
    return "openvino" if name == "openvino" else "torch"


def fastest_engine(network: SimFormer | CamNetwork) -> Engine:
    """Which engine segments with such a network faster on this machine: measured once, then remembered.

    Args:
        network: in evaluation mode, on the CPU, not sped up yet; it is not changed.
    """
    if importlib.util.find_spec("openvino") is None:
        return "torch"
    file = cache_folder() / "openvino" / f"faster-{_machine_and(network)}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        remembered = json.loads(file.read_text(encoding="utf-8"))
        return "openvino" if remembered["openvino"] < remembered["torch"] else "torch"
    try:
        seconds = compare_engines(network)
    except SimFormerError:  # OpenVINO cannot run it
        return "torch"
    with suppress(OSError, SimFormerError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, "w") as stream:
            json.dump(seconds, stream)
    return "openvino" if seconds["openvino"] < seconds["torch"] else "torch"


def compare_engines(network: SimFormer | CamNetwork) -> dict[Engine, float]:
    """Seconds a photo with each engine, the median of runs in turn.

    Args:
        network: as `fastest_engine`.

    Raises:
        ConfigError: OpenVINO is not installed, or cannot run this network.
    """
    actions: dict[Engine, Callable[[Tensor], object]] = {}
    for engine in ENGINES:
        trial = copy.deepcopy(network)
        speed_up(trial, SharedBackbones(), engine)
        actions[engine] = trial.activation_maps if isinstance(trial, CamNetwork) else trial.score_maps
    seconds: dict[Engine, list[float]] = {engine: [] for engine in ENGINES}
    with torch.inference_mode():
        for run in range(TRIAL_RUNS + 1):
            # Another photo each time, as the backbone remembers the last.
            photo = torch.full((1, 3, *TRIAL_SIDES), float(run))
            for engine, action in actions.items():
                start = time.perf_counter()
                action(photo)
                seconds[engine].append(time.perf_counter() - start)
    return {engine: statistics.median(runs[1:]) for engine, runs in seconds.items()}  # the first warms up


def _machine_and(network: SimFormer | CamNetwork) -> str:
    import openvino

    what = (processor(), torch.get_num_threads(), torch.__version__, openvino.__version__, network.config)
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]
