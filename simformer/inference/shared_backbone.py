"""Networks trained on the same frozen backbone look at a photo through it once.

CAM, every SimFormer and FullyOracle of a data set keep the ImageNet weights of their backbone, which takes most of
their time. Predictors that are loaded together therefore share one, and it remembers what it saw last.
"""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import Literal
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from simformer.backbones import Backbone
from simformer.inference.openvino import CompiledBackbone


class SharedBackbone(nn.Module):
    """A backbone for inference that answers the same images again without running."""

    def __init__(self, backbone: Backbone | CompiledBackbone):
        super().__init__()
        self.backbone = backbone
        # As many as threads may segment photos of their own at a time. Replaced as a whole: no thread ever sees an
        # answer beside other images.
        self._kept = torch.get_num_threads()
        self._last: tuple[tuple[Tensor, tuple[list[Tensor], Tensor]], ...] = ()

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """As Backbone.forward. The answer belongs to everyone: it must not be written to."""
        for seen, answer in self._last:
            if seen.shape == images.shape and torch.equal(seen, images):
                return answer
        answer = self.backbone(images)
        self._last = ((images, answer), *self._last)[: self._kept]
        return answer


class SharedBackbones:
    """The backbones of predictors that are loaded together, each as long as one of them is in use."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, SharedBackbone] = WeakValueDictionary()
        self._sharing = Lock()

    def share(self, backbone: Backbone, engine: Literal["torch", "openvino"] = "torch") -> SharedBackbone:
        """The one backbone of these weights on this device; an equal one shared earlier is used in its place.

        Args:
            backbone: in evaluation mode, not to be trained any more; batch norm is folded into its convolutions.
            engine: what runs it.

        Raises:
            ConfigError: OpenVINO is not installed, or cannot run it.
        """
        key = f"{engine} {fingerprint(backbone)}"
        with self._sharing:
            known = self._known.get(key)
            if known is None:
                backbone.prepare_for_inference()
                runs = CompiledBackbone(backbone) if engine == "openvino" else backbone
                known = self._known[key] = SharedBackbone(runs)
            return known


def fingerprint(backbone: Backbone) -> str:
    """Equal for backbones that compute the same: structure, weights, device."""
    state = hashlib.sha256(repr(backbone).encode())
    for name, tensor in backbone.state_dict().items():
        state.update(f"{name} {tensor.device}".encode())
        state.update(tensor.cpu().contiguous().numpy().tobytes())
    return state.hexdigest()
