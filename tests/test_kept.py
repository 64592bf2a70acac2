"""What earlier versions measured and trained is read: every result, every card."""

from __future__ import annotations

import pytest

from simformer.paths import RESULTS, WEIGHTS
from simformer.results import read_results
from simformer.weights import read_card
from train.config import DATA_ID, TrainConfig

FOLDERS = sorted({path.parent for path in RESULTS.rglob("*.json")})
CARDS = sorted(path for path in WEIGHTS.rglob("*.safetensors") if "backbone" not in path.name)


def settings(stored: dict) -> TrainConfig:
    """The settings in a result or a card, by which a training is resumed, repeated and named."""
    return TrainConfig.model_validate({"data": ".", **{key: value for key, value in stored.items() if key != DATA_ID}})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(RESULTS)))
def test_every_result_is_read(folder):
    problems: list[str] = []
    cells = read_results(folder, report=problems.append, part_masked=True)
    assert problems == [] and len(cells) == len(list(folder.glob("*.json"))) > 0
    for cell in cells:
        assert settings(cell.config).seed == cell.seed, cell.file


@pytest.mark.parametrize("path", CARDS, ids=lambda path: str(path.relative_to(WEIGHTS)))
def test_every_card_is_read(path):
    card = read_card(path)
    assert (settings(card.training).method == "cam") == (card.kind == "cam")


def test_there_are_some():
    assert len(FOLDERS) >= 2 and len(CARDS) >= 7
