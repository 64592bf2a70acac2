"""Names of the authors' released checkpoints (Detectron2's MaskFormer) -> names of this network.

Covers the paper's configuration: ResNet (50 or 101 layers), plain FPN pixel decoder, SimNet beside the criterion.
"""

from __future__ import annotations

import re

# Applied one after the other to a name; a name none of them changes is refused.
NETWORK_RULES = (
    # MaskFormer's first release had no pixel decoder apart from its head.
    (r"^sem_seg_head\.((?:adapter_\d|layer_\d|mask_features)\..+)$", r"sem_seg_head.pixel_decoder.\1"),
    (r"^backbone\.stem\.conv1\.norm\.(\w+)$", r"backbone.net.bn1.\1"),
    (r"^backbone\.stem\.conv1\.(\w+)$", r"backbone.net.conv1.\1"),
    (r"^backbone\.res(\d)\.(\d+)\.shortcut\.norm\.(\w+)$", r"backbone.net.layer\1-.\2.downsample.1.\3"),
    (r"^backbone\.res(\d)\.(\d+)\.shortcut\.(\w+)$", r"backbone.net.layer\1-.\2.downsample.0.\3"),
    (r"^backbone\.res(\d)\.(\d+)\.conv(\d)\.norm\.(\w+)$", r"backbone.net.layer\1-.\2.bn\3.\4"),
    (r"^backbone\.res(\d)\.(\d+)\.conv(\d)\.(\w+)$", r"backbone.net.layer\1-.\2.conv\3.\4"),
    (r"^sem_seg_head\.pixel_decoder\.adapter_(\d)\.norm\.(\w+)$", r"pixel_decoder.laterals.\1-.1.\2"),
    (r"^sem_seg_head\.pixel_decoder\.adapter_(\d)\.(\w+)$", r"pixel_decoder.laterals.\1-.0.\2"),
    (r"^sem_seg_head\.pixel_decoder\.layer_4\.norm\.(\w+)$", r"pixel_decoder.top.2.\1"),
    (r"^sem_seg_head\.pixel_decoder\.layer_4\.(\w+)$", r"pixel_decoder.top.1.\1"),
    (r"^sem_seg_head\.pixel_decoder\.layer_(\d)\.norm\.(\w+)$", r"pixel_decoder.outputs.\1-.1.\2"),
    (r"^sem_seg_head\.pixel_decoder\.layer_(\d)\.(\w+)$", r"pixel_decoder.outputs.\1-.0.\2"),
    (r"^sem_seg_head\.pixel_decoder\.mask_features\.(\w+)$", r"pixel_decoder.embedding.\1"),
    (r"^sem_seg_head\.predictor\.transformer\.decoder\.norm\.(\w+)$", r"transformer.norm.\1"),
    (r"^sem_seg_head\.predictor\.transformer\.decoder\.layers\.(\d+)\.(.+)$", r"transformer.layers.\1.\2"),
    (r"^(transformer\.layers\.\d+)\.self_attn\.(.+)$", r"\1.self_attention.\2"),
    (r"^(transformer\.layers\.\d+)\.multihead_attn\.(.+)$", r"\1.cross_attention.\2"),
    (r"^(transformer\.layers\.\d+)\.linear1\.(\w+)$", r"\1.feed_forward.0.\2"),
    (r"^(transformer\.layers\.\d+)\.linear2\.(\w+)$", r"\1.feed_forward.3.\2"),
    (r"^(transformer\.layers\.\d+)\.norm(\d)\.(\w+)$", r"\1.norms.\2-.\3"),
    (r"^sem_seg_head\.predictor\.query_embed\.weight$", r"transformer.queries.weight"),
    (r"^sem_seg_head\.predictor\.input_proj\.(\w+)$", r"transformer.memory_projection.\1"),
    (r"^sem_seg_head\.predictor\.class_embed\.(\w+)$", r"class_head.\1"),
    (r"^sem_seg_head\.predictor\.mask_embed\.layers\.(\d)\.(\w+)$", r"mask_head.\1*.\2"),
)
SIMNET_PREFIX = "criterion.cro_pixel_sim_net."
SIMNET_RULES = (
    (r"^fc_branch\.layers\.block(\d)\.layer1\.(\w+)$", r"blocks.\1.inner.\2"),
    (r"^fc_branch\.layers\.block(\d)\.layer2\.(\w+)$", r"blocks.\1.outer.\2"),
    (r"^fc_branch\.layers\.block(\d)\.bn1\.(\w+)$", r"blocks.\1.inner_norm.\2"),
    (r"^fc_branch\.layers\.block(\d)\.bn2\.(\w+)$", r"blocks.\1.outer_norm.\2"),
    (r"^fc_branch\.layers\.block(\d)\.sqz\.(\w+)$", r"blocks.\1.shortcut.\2"),
    (r"^out_head\.(\w+)$", r"head.\1"),
)


def network_name(released: str) -> str | None:
    """The network's name of a released tensor, None if it is none of the network's."""
    return rename(released, NETWORK_RULES)


def simnet_name(released: str) -> str | None:
    """SimNet's name of a released tensor, None if it is none of SimNet's."""
    if not released.startswith(SIMNET_PREFIX):
        return None
    return rename(released.removeprefix(SIMNET_PREFIX), SIMNET_RULES)


def rename(released: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    name = released
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    if name == released:
        return None
    # "2-" is one less: released names count from 1 (stages from 2, the stem being 1).
    # "2*" is twice: between the mask head's layers stand ReLUs.
    name = re.sub(r"(\d)-", lambda m: str(int(m[1]) - 1), name)
    return re.sub(r"(\d)\*", lambda m: str(2 * int(m[1])), name)
