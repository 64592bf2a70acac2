"""The tables of the paper: every cell loads and has the paper's settings (sections 3 and 4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from simformer.model import ModelConfig
from simformer.paths import ROOT
from simformer.splits import load_split, split_names
from train.tables.cells import read_table
from train.tasks import method_name, options

CONFIGS = ROOT / "train" / "configs"
FIRST_FOUR = ["s1", "s2", "s3", "s4"]
# Weight and form of the distillation loss, where the released configurations make an exception.
OF_SPLITS = {("coco_stuff_10k", "s1"): (0, "cce"), ("coco_stuff_10k", "s3"): (0.1, "ce")}


def cells(dataset):
    return read_table(CONFIGS / f"table_{dataset}.yaml", ["data=DATA"], Path("runs"))


def rows(dataset):
    """(method, J) -> splits, in the table's order."""
    found = {}
    for cell in cells(dataset):
        split = load_split(dataset, cell.settings.split)
        # A second training is named by its teacher's weights, which are not there yet.
        method = f"{method_name(cell.teacher.settings, split)}*" if cell.teacher else method_name(cell.settings, split)
        points = cell.settings.points if method == "SimFormer" else None
        found.setdefault((method, points), []).append(split.name)
    return found


def test_the_cells_of_coco_stuff_10k():
    assert rows("coco_stuff_10k") == {
        ("FullyOracle", None): ["all_base"],
        ("SimFormer", 100): [f"s{number}" for number in range(1, 10)],
        ("Basic Model", None): FIRST_FOUR,
        ("Self-Pair", None): FIRST_FOUR,
        ("SimFormer", 50): FIRST_FOUR,
        ("SimFormer", 150): FIRST_FOUR,
        ("SimFormer*", None): [f"s{number}" for number in range(1, 10)],
    }


def test_the_cells_of_ade20k():
    assert rows("ade20k") == {
        ("FullyOracle", None): ["all_base"],
        ("SimFormer", 100): FIRST_FOUR,
        ("Basic Model", None): FIRST_FOUR,
        ("Self-Pair", None): FIRST_FOUR,
        ("SimFormer*", None): FIRST_FOUR,
    }


@pytest.mark.parametrize("dataset, classes, size, steps, complementary, distillation, scale, long_side", [
    ("coco_stuff_10k", 171, 640, 60_000, 0.15, 0.1, (0.5, 1.5), 2560),
    ("ade20k", 150, 512, 160_000, 0.2, 0.5, (0.5, 2.0), 2048),
])  # fmt: skip
def test_the_settings_of_every_cell(dataset, classes, size, steps, complementary, distillation, scale, long_side):
    for cell in cells(dataset):
        config = cell.settings
        split = load_split(dataset, config.split)
        assert config.dataset == dataset and config.split in split_names(dataset)
        assert options(ModelConfig, config, split) == ModelConfig.paper(classes), cell.name
        assert (config.crop, config.image_size) == (size, size)
        assert (config.scale, config.scale_step, config.long_side) == (scale, 0.1, long_side)
        assert (config.steps, config.batch, config.seed) == (steps, 8, 0)
        assert config.complementary_weight == complementary
        of_split = OF_SPLITS.get((dataset, split.name), (distillation, "cce"))
        assert (config.distillation_weight, config.distillation) == of_split, cell.name
        assert (config.label_rule, config.hold_out) == ("strict", 0)
        assert (config.simnet_statistics, config.student_pairs, config.distill_padding) == ("running", "across", False)
        assert config.candidate_caps is None
        assert (config.learning_rate, config.weight_decay, config.clip) == (1e-4, 1e-4, 0.01)
        assert (config.backbone_factor, config.classifier_factor, config.frozen_backbone) == (0.1, 1, False)
        assert (config.loss_resolution, config.simnet_width, config.init) == ("image", 256, None)
        assert config.exact
        assert (config.precision, config.schedule) == ("no", "paper")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("table_*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_table_loads(path):
    table = read_table(path, ["data=DATA"], Path("runs"))
    assert len({cell.name for cell in table}) == len(table) > 0
    for cell in table:
        if not cell.drawn:
            load_split(cell.settings.dataset, cell.settings.split)
