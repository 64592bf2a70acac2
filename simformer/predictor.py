"""The one door for everyone who only wants masks: a photo goes in, a Segmentation comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from simformer.cam import CamNetwork
from simformer.checkpoint import load_network
from simformer.errors import ConfigError
from simformer.inference.engines import Engine, chosen_engine, speed_up
from simformer.inference.exact import STRIDE, exact_labels, last_predictions, score_tiles
from simformer.inference.resampling import labels_from_scores, upsampled_tiles
from simformer.inference.shared_backbone import SharedBackbones
from simformer.model import SimFormer, compose_score_maps
from simformer.segmentation import Queries, Segmentation
from simformer.utils.images import load_image
from simformer.utils.validation import first_problem
from simformer.weights import Card, Inference, find_weights

# A longer photo is shrunk until its long side is this many times the card's image size: bounded work.
MAX_ASPECT = 3
# Far below any activation that matters, far above float32's smallest number.
NO_ACTIVATION = 1e-6


@dataclass(frozen=True)
class PreparedPhoto:
    """A photo as a network will see it, small where the photo was large.

    Attributes:
        size: (height, width) of the photo itself, in pixels.
        maps_size: (height, width) of its score maps.
        inputs: the photo at each scale, uint8 RGB, H x W x 3.
    """

    size: tuple[int, int]
    maps_size: tuple[int, int]
    inputs: tuple[NDArray[np.uint8], ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Photos whose shapes are equal fit into one batch."""
        return (self.maps_size, *(array.shape for array in self.inputs))


@dataclass(frozen=True)
class Prediction:
    """What a network says of one photo.

    Attributes:
        score_maps: float32, K x h x w on the CPU.
        queries: None where the network has none, or has seen the photo in several ways.
        exact: arguments of `exact_labels`: class logits, mask logits, input size (height, width).
    """

    score_maps: Tensor
    queries: Queries | None = None
    exact: tuple[Tensor, Tensor, tuple[int, int]] | None = None

    def labels(self, size: tuple[int, int], threshold: float) -> NDArray[np.uint8]:
        """Label map of (height, width); pixels whose best score is below the threshold are 255."""
        if self.exact:
            return exact_labels(*self.exact, size, threshold)
        return labels_from_scores(self.score_maps, size, threshold)


class Predictor:
    """A network with its card, ready to segment photos.

    Args:
        network: SimFormer or CamNetwork in evaluation mode.
        card: its card.
        name: what `Segmentation.model` says.
        inference: how it is used; None takes the card's word. Exact inference is about label maps: score maps stay
            those at stride 4.
        engine: what runs the network, which `speed_up` has prepared for it.

    Raises:
        ConfigError: exact inference is asked of a network without masks, or with several views.
    """

    def __init__(
        self,
        network: SimFormer | CamNetwork,
        card: Card,
        name: str,
        *,
        inference: Inference | None = None,
        engine: Engine = "torch",
    ) -> None:
        self.network = network
        self.card = card
        self.name = name
        self.engine = engine
        self.inference = inference or card.inference
        if self.inference.exact and card.kind == "cam":
            raise ConfigError(f"{name} is a CAM network: exact inference is about masks, which it does not have")
        if self.inference.exact and not self.inference.as_it_is:
            raise ConfigError(f"{name} cannot be exact: exact inference sees the photo once, without scales and flips")
        self.device = next(network.parameters()).device

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        device: str | torch.device | None = None,
        *,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        present_threshold: float | None = None,
        exact: bool | None = None,
        backbones: SharedBackbones | None = None,
        engine: str = "torch",
    ) -> Predictor:
        """Load weights by name ("split1", "cam", "oracle") or path.

        Args:
            name_or_path: a model in the weights folder, or a weights file.
            device: None takes CUDA where there is one, else the CPU.
            scales, flip: multiples of the image size at which the network sees the photo, and whether mirrored
                too; the score maps are averaged. None takes the card's word: (1.0,) and False unless it says otherwise.
            present_threshold: a "cam" network gives maps to classes of at least this probability (0 to 1).
            exact: label maps at full resolution, as the paper's network defines them (`Inference`); None takes the
                card's word: True of weights that `convert` made.
            backbones: those of other predictors, one of which this one takes in place of its own where it is equal:
                a photo that several look at goes through it once.
            engine: "torch"; "openvino", on the CPU, partly in bfloat16 where the processor has it; or "auto": OpenVINO
                where it is installed and faster (measured once, remembered), and inference not exact.

        Raises:
            CheckpointError: the weights cannot be found or used.
            ConfigError: a scale is not in (0, 8], the threshold is not in 0 to 1, there is no such device, or exact
                inference is asked of a "cam" network, or with several views; there is no such engine, OpenVINO is not
                installed, or asked for exact inference, or another device than the CPU.
        """
        path = find_weights(name_or_path)
        network, card = load_network(path, device or ("cuda" if torch.cuda.is_available() else "cpu"))
        wanted = {"scales": scales, "flip": flip, "present_threshold": present_threshold, "exact": exact}
        given = {key: value for key, value in wanted.items() if value is not None}
        try:
            inference = Inference.model_validate({**card.inference.model_dump(), **given})
        except ValidationError as error:
            raise ConfigError(f"{path.stem} cannot be used so: {first_problem(error)}") from error
        runs = chosen_engine(engine, network, inference)
        speed_up(network, backbones or SharedBackbones(), runs)
        return cls(network, card, path.stem, inference=inference, engine=runs)

    @property
    def classes(self) -> tuple[str, ...]:
        """K class names; label maps and score maps count in this order."""
        return self.card.classes

    @property
    def roles(self) -> tuple[str, ...]:
        """ "base" or "novel" for each class."""
        return ("novel",) * len(self.classes) if self.card.kind == "cam" else self.card.roles

    @torch.inference_mode()
    def segment(self, image: Any, *, threshold: float = 0.0) -> Segmentation:
        """Segment one photo.

        Args:
            image: anything `load_image` takes: path, bytes, file, PIL image, array (H x W x 3 uint8, RGB), tensor (the
                same, 3 x H x W).
            threshold: pixels whose best score is below it become 255, "unsure".

        Returns:
            Label map at the photo's own size (after EXIF rotation), score maps at stride 4 of the test-time size.
            The network's proposals only where it saw the photo once, as it is. Exact inference makes the label map at
            full resolution; `Segmentation.with_threshold` goes by the score maps.

        Raises:
            ImageError: the photo cannot be read.
        """
        return self.segment_batch([self.prepare(image)], threshold=threshold)[0]

    def prepare(self, image: Any) -> PreparedPhoto:
        """Read a photo and resize it: all that needs no network, and what other threads may do meanwhile.

        Args:
            image: as `segment`; so are the exceptions.
        """
        photo = load_image(image)

        def size_at(scale: float) -> tuple[int, int]:
            return input_size(photo.size, scale * self.card.image_size)

        scales = (1.0,) if self.card.kind == "cam" else self.inference.scales  # CAM's network rescales by itself
        inputs = [np.array(photo.resize(size_at(scale), Image.Resampling.BILINEAR), np.uint8) for scale in scales]
        width, height = size_at(1.0)
        return PreparedPhoto((photo.height, photo.width), (height // STRIDE, width // STRIDE), tuple(inputs))

    @torch.inference_mode()
    def segment_batch(self, photos: Sequence[PreparedPhoto], *, threshold: float = 0.0) -> list[Segmentation]:
        """Segment photos of equal `shapes` at once; each as `segment` would, up to rounding.

        Raises:
            ValueError: their shapes differ.
        """
        if not photos:
            return []
        if len({photo.shapes for photo in photos}) > 1:
            raise ValueError("photos of one batch must have equal shapes")
        return [
            Segmentation(
                labels=prediction.labels(photo.size, threshold),
                score_maps=prediction.score_maps.numpy(),
                classes=self.classes,
                roles=self.roles,
                model=self.name,
                queries=prediction.queries,
            )
            for photo, prediction in zip(photos, self._predict(photos), strict=True)
        ]

    @torch.inference_mode()
    def full_score_maps(self, image: Any) -> Tensor:
        """The scores whose best class `segment` takes, all at once: float32, K x H x W at the photo's own size.

        They fill 4 K bytes a pixel; `segment` needs a bounded part of them at a time.

        Args:
            image: as `segment`; so are the exceptions.
        """
        photo = self.prepare(image)
        [prediction] = self._predict([photo])
        if prediction.exact:
            tiles = score_tiles(*prediction.exact, photo.size)
        else:
            tiles = upsampled_tiles(prediction.score_maps, photo.size)
        whole = torch.empty(len(self.classes), *photo.size)
        for place, scores in tiles:
            whole[:, *place] = scores
        return whole

    def _predict(self, photos: Sequence[PreparedPhoto]) -> list[Prediction]:
        if isinstance(self.network, CamNetwork):
            return self._cam(self.network, photos)
        return self._exactly(self.network, photos) if self.inference.exact else self._simformer(self.network, photos)

    def _pixels(self, photos: Sequence[PreparedPhoto], number: int = 0) -> Tensor:
        """The photos at one of their scales, by its number: float32, B x 3 x H x W, RGB 0 to 255."""
        arrays = np.stack([photo.inputs[number] for photo in photos])
        return torch.from_numpy(arrays).to(self.device).permute(0, 3, 1, 2).float()

    def _simformer(self, network: SimFormer, photos: Sequence[PreparedPhoto]) -> list[Prediction]:
        """Score maps, mean over the views, and the proposals of a single view of the photo as it is."""
        size = photos[0].maps_size
        total = torch.zeros((), device=self.device)
        mirrors = (False, True) if self.inference.flip else (False,)
        for number in range(len(self.inference.scales)):
            pixels = self._pixels(photos, number)
            for mirrored in mirrors:
                output = network(pixels.flip(-1) if mirrored else pixels, auxiliary=False)
                class_logits = output.class_logits.float()
                mask_logits = without_padding(output.mask_logits.float(), pixels.shape[-2:])
                maps = compose_score_maps(class_logits, mask_logits)
                maps = maps.flip(-1) if mirrored else maps
                if maps.shape[-2:] != size:
                    maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
                total = total + maps
        means = (total / (len(self.inference.scales) * len(mirrors))).cpu()
        if not self.inference.as_it_is:
            return [Prediction(maps) for maps in means]
        of_each = zip(means, class_logits, mask_logits, strict=True)
        return [Prediction(maps, queries_of(*logits)) for maps, *logits in of_each]

    def _exactly(self, network: SimFormer, photos: Sequence[PreparedPhoto]) -> list[Prediction]:
        predictions = []
        for pixels in self._pixels(photos).split(1):
            class_logits, mask_logits = last_predictions(network, pixels)
            height, width = pixels.shape[-2:]
            inside = without_padding(mask_logits, (height, width))
            maps = compose_score_maps(class_logits, inside)[0].cpu()
            exact = (class_logits[0], mask_logits[0], (height, width))
            predictions.append(Prediction(maps, queries_of(class_logits[0], inside[0]), exact))
        return predictions

    def _cam(self, network: CamNetwork, photos: Sequence[PreparedPhoto]) -> list[Prediction]:
        maps, probabilities = network.activation_maps(
            self._pixels(photos), scales=self.inference.scales, flip=self.inference.flip
        )
        return [
            Prediction(keep_present(*pair, self.inference.present_threshold).cpu())
            for pair in zip(maps.float(), probabilities.float(), strict=True)
        ]


def without_padding(mask_logits: Tensor, input_size: Sequence[int]) -> Tensor:
    """Mask logits of an input of (height, width), which the network padded at the right and bottom."""
    height, width = (side // STRIDE for side in input_size)
    return mask_logits[..., :height, :width]


def queries_of(class_logits: Tensor, mask_logits: Tensor) -> Queries:
    """Proposals of one photo from N x (K + 1) class logits and N x h x w mask logits."""
    return Queries(class_logits.softmax(-1)[:, :-1].cpu().numpy(), mask_logits.sigmoid().cpu().numpy())


def input_size(size: tuple[int, int], short_side: float) -> tuple[int, int]:
    """Test-time (width, height) of a photo of (width, height).

    The short side becomes `short_side`; a photo longer than three times that is shrunk further. Both sides
    are rounded to multiples of 4, at least 4.
    """
    scale = min(short_side / min(size), MAX_ASPECT * short_side / max(size))
    width, height = (max(STRIDE, STRIDE * math.floor(side * scale / STRIDE + 0.5)) for side in size)
    return width, height


def keep_present(maps: Tensor, probabilities: Tensor, threshold: float) -> Tensor:
    """Activation maps, K x h x w (0 to 1), with those of absent classes set to zero.

    A class is present if its probability (K values) is at least `threshold`; if none is, the most probable
    one. Where no present class is active the most probable one stays just above zero, so that the arg max
    never falls on an absent class.
    """
    present = probabilities >= threshold
    if not present.any():
        present = torch.zeros_like(present)
        present[probabilities.argmax()] = True
    floor = NO_ACTIVATION * probabilities.clamp(min=NO_ACTIVATION)
    return maps.maximum(floor[:, None, None]) * present[:, None, None]
