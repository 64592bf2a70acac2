"""Networks as ONNX files, for programs without PyTorch; optional: pip install "onnx>=1.16" onnxscript onnxruntime.

A file holds one network for one input size: its shapes are fixed, which runtimes are fastest with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from simformer.checkpoint import load_network
from simformer.errors import CheckpointError, ConfigError
from simformer.inference.resampling import labels_from_scores
from simformer.model import SimFormer
from simformer.predictor import STRIDE
from simformer.segmentation import Segmentation
from simformer.utils.files import atomic_write
from simformer.utils.images import load_image
from simformer.weights import Card, find_weights

INPUT, OUTPUT = "image", "scores"
CARD_KEY = "simformer"
MISSING = 'ONNX files need other packages: pip install "onnx>=1.16" onnxscript onnxruntime'


class ScoreMaps(nn.Module):
    """A network's score maps alone: B x 3 x H x W, RGB 0 to 255 -> B x K x H/4 x W/4."""

    def __init__(self, network: SimFormer):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.score_maps(image)


def write_onnx(weights: str | Path, target: str | Path, size: tuple[int, int]) -> Card:
    """Write a SimFormer network as an ONNX file; returns its card, which the file holds as metadata, too.

    Input `image`: float32, 1 x 3 x H x W, RGB 0 to 255. Output `scores`: float32, 1 x K x H/4 x W/4, the score maps of
    `Predictor` for a photo of that size. The best class of a pixel is their arg max, resized bilinearly.

    Args:
        weights: as `Predictor.load`.
        target: the .onnx file.
        size: (height, width) of the input, multiples of 4.

    Raises:
        CheckpointError: the weights cannot be found or used.
        ConfigError: they are of a CAM network, `size` is none, or the packages are missing.
        SimFormerError: the file cannot be written.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(MISSING) from error
    if min(size) < STRIDE or any(side % STRIDE for side in size):
        raise ConfigError(f"the sides of the input are multiples of {STRIDE}, not {size[0]} x {size[1]}")
    path = find_weights(weights)
    network, card = load_network(path, "cpu")
    if not isinstance(network, SimFormer):
        raise ConfigError(f"{path.name} is a CAM network, whose maps depend on which classes it finds: not for ONNX")
    network.backbone.prepare_for_inference()
    program = torch.onnx.export(
        ScoreMaps(network).eval(),
        (torch.zeros(1, 3, *size),),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
    )
    assert program is not None  # with dynamo it is one
    program.model.metadata_props[CARD_KEY] = card.model_dump_json()
    with atomic_write(target) as file:
        file.write(program.model_proto.SerializeToString())
    return card


class OnnxPredictor:
    """An ONNX file of `write_onnx` in ONNX Runtime, on the CPU.

    Args:
        path: the file.
        threads: of ONNX Runtime.

    Attributes:
        size: (height, width) of its input.
        card: the network's.

    Raises:
        CheckpointError: the file is missing, damaged, or not one of `write_onnx`.
        ConfigError: ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(MISSING) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for the next photo by spinning would slow whatever else the machine does meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.card = Card.model_validate_json(self._session.get_modelmeta().custom_metadata_map[CARD_KEY])
        except Exception as error:  # ONNX Runtime has a dozen exceptions of its own, all derived from this one alone
            raise CheckpointError(f"{path} is not an ONNX file that this project has written") from error
        height, width = self._session.get_inputs()[0].shape[2:]
        self.size = (height, width)
        self.name = Path(path).stem

    def score_maps(self, pixels: np.ndarray) -> np.ndarray:
        """float32, 3 x H x W of the input's size, RGB 0 to 255 -> float32, K x H/4 x W/4."""
        return np.asarray(self._session.run([OUTPUT], {INPUT: pixels[None]})[0])[0]

    def segment(self, image: Any, *, threshold: float = 0.0) -> Segmentation:
        """As `Predictor.segment`, but a photo of other proportions is stretched to the input's."""
        photo = load_image(image)
        resized = photo.resize(self.size[::-1], Image.Resampling.BILINEAR)
        scores = self.score_maps(np.asarray(resized, dtype=np.float32).transpose(2, 0, 1))
        labels = labels_from_scores(scores, (photo.height, photo.width), threshold)
        return Segmentation(labels, scores, self.card.classes, self.card.roles, self.name)
