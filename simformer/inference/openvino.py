"""The heavy parts of a network in OpenVINO, on a CPU; optional: pip install -r requirements/openvino.txt.

Backbone, pixel decoder and transformer decoder, nearly all of the work; heads and score maps PyTorch makes as ever. The
pixel decoder computes in bfloat16 where the processor multiplies such numbers, which moves no mean IoU by more than
0.01 (docs/speed.md). The backbone stays in float32: what bfloat16 rounds off there can turn a whole class. Each part is
compiled once, for photos of any shape, and kept on disk, from where it takes milliseconds.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from simformer.backbones import Backbone, HalvingConv2d
from simformer.errors import ConfigError, SimFormerError
from simformer.paths import cache_folder
from simformer.utils.files import atomic_write

MISSING = "the engine openvino needs another package: pip install -r requirements/openvino.txt"
# Sides of the photo with which the parts are traced; they serve any.
TRACED_SIDES = (64, 96)
# Raised whenever the parts are cut or traced differently: what is kept on disk serves no more then.
PARTS = 1


def package() -> Any:
    """The package `openvino`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(MISSING) from error
    return openvino


@cache
def core() -> Any:
    """OpenVINO's, one a process."""
    return package().Core()


def half_precision() -> str:
    """OpenVINO's name of the smallest numbers that this processor multiplies well: "bf16", or else "f32"."""
    return "bf16" if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def processor() -> str:
    """What this machine's processor calls itself."""
    return core().get_property("CPU", "FULL_DEVICE_NAME")


class Compiled(nn.Module):
    """A module that OpenVINO runs, one image at a time.

    Args:
        module: in evaluation mode, from float32 tensors B x C x h x w on the CPU to such tensors; it is not changed.
        example: inputs of one image.
        precision: "f32" or "bf16", of what lies between inputs and outputs.

    Raises:
        ConfigError: OpenVINO is not installed, or knows an operation of the module not.
    """

    def __init__(self, module: nn.Module, example: Sequence[Tensor], precision: str):
        super().__init__()
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._compiled = _compiled(module, example, options)
        except (RuntimeError, TypeError, ValueError) as error:  # of OpenVINO, of tracing
            raise ConfigError(f"OpenVINO cannot run this network: {str(error).strip().splitlines()[-1]}") from error
        # What a run writes to belongs to one thread.
        self._of_thread = threading.local()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Float32 tensors, B x C x h x w each -> the module's outputs."""
        images = zip(*(each.split(1) for each in inputs), strict=True)
        outputs = [self._run(*image) for image in images]
        return outputs[0] if len(outputs) == 1 else tuple(map(torch.cat, zip(*outputs, strict=True)))

    def _run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        found = request.infer([each.contiguous().numpy() for each in inputs])
        return tuple(torch.from_numpy(found[number]) for number in range(len(self._compiled.outputs)))


def _compiled(module: nn.Module, example: Sequence[Tensor], options: dict[str, Any]) -> Any:
    """From the cache if it is there; else traced, compiled and put there, as far as that can be written."""
    openvino = package()
    key = hashlib.sha256(repr((module, [tuple(each.shape) for each in example], options)).encode())
    key.update(f"{PARTS} {openvino.__version__} {torch.__version__} {processor()}".encode())
    for name, tensor in module.state_dict().items():
        key.update(name.encode() + tensor.contiguous().numpy().tobytes())
    file = cache_folder() / "openvino" / f"{key.hexdigest()[:32]}.blob"
    with suppress(OSError, RuntimeError):  # missing, or of no use: made again
        return core().import_model(file.read_bytes(), "CPU", options)
    traced = _traced(module, example)
    compiled = core().compile_model(traced, "CPU", options)
    with suppress(OSError, SimFormerError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as stream:
            stream.write(compiled.export_model().getvalue())
    return compiled


def _traced(module: nn.Module, example: Sequence[Tensor]) -> Any:
    """OpenVINO's model of a module, for one image of any height and width."""
    openvino = package()
    # As matrix products of channels-last maps, convolutions would be turned there and back.
    module = copy.deepcopy(module).to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")  # sizes are traced as numbers: those of the batch, which is 1
        example = tuple(each.clone(memory_format=torch.contiguous_format) for each in example)
        traced = openvino.convert_model(module, example_input=example)
    traced.reshape({i: openvino.PartialShape([1, each.shape[1], -1, -1]) for i, each in enumerate(example)})
    return traced


class CompiledBackbone(nn.Module):
    """A prepared backbone (`Backbone.prepare_for_inference`) in OpenVINO where it can be.

    Its convolutions of stride 2 are compiled for even sides. Where a map within has an odd side, PyTorch answers.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        self.compiled = Compiled(_FlatBackbone(backbone).eval(), [torch.zeros(1, 3, *TRACED_SIDES)], "f32")

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """As `Backbone.forward`."""
        if any(side % self.backbone.output_stride for side in images.shape[-2:]):
            return self.backbone(images)
        *pyramid, last = self.compiled(images)
        return pyramid, last


class _FlatBackbone(nn.Module):
    """One tuple of tensors, and plain convolutions."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        for name, module in list(self.backbone.named_modules()):
            if isinstance(module, HalvingConv2d):
                self.backbone.set_submodule(name, module.for_even_sides())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        pyramid, last = self.backbone(images)
        return (*pyramid, last)


class CompiledPixelDecoder(nn.Module):
    """A pixel decoder in OpenVINO: four maps, finest first -> per-pixel embeddings."""

    def __init__(self, decoder: nn.Module, pyramid: Sequence[Tensor]):
        super().__init__()
        self.compiled = Compiled(_OfFour(decoder).eval(), pyramid, half_precision())

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """As `PixelDecoder.forward`."""
        return self.compiled(*pyramid)[0]


class _OfFour(nn.Module):
    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, first: Tensor, second: Tensor, third: Tensor, last: Tensor) -> Tensor:
        return self.decoder([first, second, third, last])


class CompiledTransformer(nn.Module):
    """A transformer decoder in OpenVINO; of its layers it answers with the last alone."""

    def __init__(self, transformer: nn.Module, top: Tensor):
        super().__init__()
        # In float32: it takes a tenth of the time, and OpenVINO has no attention in bfloat16 for any shape.
        self.compiled = Compiled(_LastLayer(transformer).eval(), [top], "f32")

    def forward(self, features: Tensor) -> list[Tensor]:
        """As `TransformerDecoder.forward`, the last layer's queries alone."""
        return list(self.compiled(features))


class _LastLayer(nn.Module):
    def __init__(self, transformer: nn.Module):
        super().__init__()
        self.transformer = transformer

    def forward(self, features: Tensor) -> Tensor:
        return self.transformer(features)[-1]
