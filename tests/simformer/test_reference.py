"""The network, SimNet, matching and losses give the numbers that the released code gives with the same weights.

The recorded file is large and not part of the repository: beside it, or named by $SIMFORMER_REFERENCE, it is compared
in full. Without it, a few numbers are compared that this network gave when it agreed with the file.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from recorded import CLASSES, backbone_names, drawn, head_names, recorded_network, recorded_simnet
from typer.testing import CliRunner

from simformer.__main__ import app
from simformer.criterion import Criterion
from simformer.interop.released_names import network_name
from simformer.matching import match
from simformer.model import Output, SimFormer, Targets, compose_score_maps
from simformer.paths import ROOT
from simformer.similarity import SimNet

REFERENCE = Path(os.environ.get("SIMFORMER_REFERENCE", ROOT.parent / "shared/reference/released_code_r50.npz"))


@pytest.fixture(scope="module")
def network() -> SimFormer:
    return recorded_network()


@pytest.fixture(scope="module")
def simnet() -> SimNet:
    return recorded_simnet()


def close(found: torch.Tensor, expected: np.ndarray | list) -> bool:
    """Equal to 1e-4 of the expected values' norm."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    return float(np.linalg.norm(found.numpy() - expected)) <= 1e-4 * float(np.linalg.norm(expected))


def same_or_not(simnet: SimNet, pairs: torch.Tensor) -> torch.Tensor:
    """M x 2C x h x w concatenated embeddings -> probability of one class, M x h x w."""
    a, b = pairs.permute(0, 2, 3, 1).chunk(2, dim=-1)
    return simnet(a, b).softmax(-1)[..., 1]


def losses(output: Output, targets: Targets) -> list[float]:
    """Unweighted classification, focal, dice and complementary loss of the last layer."""
    output.auxiliary = []
    found = Criterion(output.class_logits.shape[-1] - 1, 1.0)(output, targets)
    return [float(found[name]) for name in ("classification", "focal", "dice", "complementary")]


# --- in full ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the recorded file is not here")
@torch.no_grad()
def test_everything_recorded(network, simnet):
    with np.load(REFERENCE) as file:
        record = {name: file[name] for name in file.files if name not in ("names", "shapes")}
    assert record["seed"] == 0
    images = torch.from_numpy(record["images"]).float()
    features, output = network.features(images), network(images)
    assert close(features[0][:, ::64], record["res2"])
    assert close(features[3][:, ::256], record["res5"])
    assert close(output.pixel_embeddings[:, ::32], record["pixel_features"])
    assert close(output.class_logits, record["pred_logits"])
    assert close(output.mask_logits[:, ::10], record["pred_masks"])
    assert close(same_or_not(simnet, torch.from_numpy(record["sim_input"])), record["sim_output"][:, 0])

    # The released code upsamples the masks before it composes the score maps; here that is done after, in less memory.
    upsampled = F.interpolate(output.mask_logits, size=images.shape[2:], mode="bilinear", align_corners=False)
    score_maps = compose_score_maps(output.class_logits, upsampled)
    assert close(score_maps[:, ::10, ::4, ::4], record["sem_seg"])
    later = F.interpolate(network.score_maps(images), size=images.shape[2:], mode="bilinear", align_corners=False)
    for maps in (score_maps, later):
        assert (maps.argmax(1).numpy() == record["sem_seg_argmax"]).mean() >= 0.999

    labels = torch.from_numpy(record["label_maps"]).long()
    shown = [torch.from_numpy(record[f"labels_{image}"]).long() for image in range(2)]
    is_base = [torch.isin(classes, torch.from_numpy(record["base"])) for classes in shown]
    base = [classes[flag] for classes, flag in zip(shown, is_base, strict=True)]
    novel = [classes[~flag] for classes, flag in zip(shown, is_base, strict=True)]
    labels[~torch.isin(labels, torch.from_numpy(record["base"]))] = 255
    known = Targets(labels, labels < 0, base, novel)
    matches = match([(output.class_logits, output.mask_logits)], known)[0]
    for image, (queries, targets) in enumerate(matches):
        assert queries.tolist() == record[f"match_query_{image}"].tolist()
        assert targets.tolist() == record[f"match_target_{image}"].tolist()
    found = losses(output, known)
    found[1] /= 20  # the record has the focal loss without its weight
    recorded = [float(record[name]) for name in ("loss_cls_a", "loss_mask_m", "loss_mask_d", "loss_comp")]
    assert found == pytest.approx(recorded, rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not REFERENCE.is_file(), reason="the recorded file is not here")
def test_the_commands_give_the_recorded_labels(network, tmp_path):
    """A checkpoint under the released names, through convert and segment as one types them."""
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    names = [*backbone_names(), *head_names()]
    torch.save({"model": {name: drawn(name, own[network_name(name)]) for name in names}}, tmp_path / "model.pth")
    weights = tmp_path / "model.safetensors"
    words = ["convert", str(tmp_path / "model.pth"), "--out", str(weights), "--image-size", "128"]
    assert CliRunner().invoke(app, words).exit_code == 0
    with np.load(REFERENCE) as file:
        images, labels = file["images"], file["sem_seg_argmax"]
    for number, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / f"{number}.png")
        words = [
            "segment",
            str(tmp_path / f"{number}.png"),
            "--weights",
            str(weights),
            "--out",
            str(tmp_path / "masks"),
        ]
        assert CliRunner().invoke(app, [*words, "--device", "cpu"]).exit_code == 0
        with Image.open(tmp_path / "masks" / f"{number}.png") as found:
            assert (np.array(found) == labels[number]).mean() >= 0.999


# --- a few numbers ----------------------------------------------------------------------------------------

RES2 = [0.75856, 1.09762, 1.09413, 1.22105]
RES5 = [1.57722, 1.1328, 0.28593, 1.20115]
EMBEDDINGS = [-0.62135, -0.04374, 1.33576, 0.05585]
CLASS_LOGITS = [
    [-2.22861, -1.26149, -0.47848, 2.24882],
    [-2.23197, -1.25968, -0.47302, 2.24379],
    [-2.23054, -1.25881, -0.47791, 2.24501],
    [-2.23079, -1.26334, -0.4739, 2.24387],
]
MASK_LOGITS = [
    [-4.08506, -1.99794, 2.24291, -6.5446],
    [-4.05433, -2.0209, 2.182, -6.55695],
    [-4.05651, -2.00345, 2.20878, -6.56004],
    [-4.04805, -1.96125, 2.23653, -6.53834],
]
NORMS = [136.83157, 1573.2303]
SCORES = [0.01793495, 0.04724135, 0.10355978]
SIMILAR = [[0.68536, 0.4877, 0.6917], [0.33993, 0.42953, 0.48962]]
MATCHES = [([0, 2, 9, 11], [1, 0, 2, 3]), ([2, 3, 10], [1, 0, 2])]
LOSSES = [2.6171315, 3.0503278, 0.6502450, 6.6163173]


def formula(*shape: int) -> torch.Tensor:
    """Values from 0 to 255 that look irregular."""
    index = torch.arange(int(np.prod(shape)))
    return ((index * index * 7 + index * 31) % 1009 % 256).view(shape).float()


@torch.no_grad()
def test_numbers_of_the_network(network):
    images = formula(1, 3, 128, 160)
    features, output = network.features(images), network(images)
    assert close(features[0][0, ::64, 5, 7], RES2)
    assert close(features[3][0, ::512, 1, 2], RES5)
    assert close(output.pixel_embeddings[0, ::64, 9, 11], EMBEDDINGS)
    assert close(output.class_logits[0, ::33, ::57], CLASS_LOGITS)
    assert close(output.mask_logits[0, ::33, 10, ::13], MASK_LOGITS)
    assert [float(output.class_logits.norm()), float(output.mask_logits.norm())] == pytest.approx(NORMS, rel=1e-4)
    maps = network.score_maps(images)
    assert maps.shape == (1, CLASSES, 32, 40)
    assert close(maps[0, ::57, 9, 11], SCORES)


@torch.no_grad()
def test_numbers_of_simnet(simnet):
    assert close(same_or_not(simnet, formula(1, 512, 2, 3) / 128 - 1)[0], SIMILAR)


def test_numbers_of_matching_and_losses():
    class_logits = (formula(2, 12, 10) - 128) / 40
    mask_logits = (formula(2, 12, 8, 10) - 128) / 40
    labels = torch.full((2, 32, 40), 255)
    labels[:, :20, :15], labels[0, 8:, 20:], labels[1, 25:] = 2, 5, 7
    base, novel = [torch.tensor([2, 5]), torch.tensor([2, 7])], [torch.tensor([0, 8]), torch.tensor([4])]
    targets = Targets(labels, labels < 0, base, novel)
    matches = match([(class_logits, mask_logits)], targets)[0]
    assert [(queries.tolist(), targets.tolist()) for queries, targets in matches] == MATCHES
    output = Output(class_logits, mask_logits, torch.zeros(0))
    assert losses(output, targets) == pytest.approx(LOSSES, rel=1e-4)
