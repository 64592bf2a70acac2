"""AdamW with the paper's parameter groups, and the poly schedule (paper, section 4)."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from train.settings import OptimizationSettings

UNDECAYED = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, nn.Embedding)
CLASSIFIERS = ("network.pooled_class_head.", "network.classifier.")


def make_optimizer(task: nn.Module, config: OptimizationSettings) -> AdamW:
    """AdamW: no decay on norms and embeddings; factors on the backbone and on the classifiers of its map."""
    undecayed = {id(p) for m in task.modules() if isinstance(m, UNDECAYED) for p in m.parameters(recurse=False)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = 1.0
        if name.startswith("network.backbone."):
            factor = config.backbone_factor
        elif name.startswith(CLASSIFIERS):
            factor = config.classifier_factor
        decay = 0.0 if id(parameter) in undecayed else config.weight_decay
        groups.setdefault((factor * config.learning_rate, decay), []).append(parameter)
    return AdamW([{"params": ps, "lr": lr, "weight_decay": decay} for (lr, decay), ps in groups.items()], fused=True)


def poly_schedule(optimizer: AdamW, steps: int, power: float = 0.9) -> LambdaLR:
    """Learning rate x (1 - step / steps) ** power, no warm-up."""
    return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps) ** power)
