from __future__ import annotations

import shutil

import pytest
from compared import SETTINGS, write_models

from simformer.compare.columns import (
    choose_columns,
    columns_of,
    find_columns,
    known_splits,
    listed_names,
    method_of,
    usual_columns,
    usual_pair,
)
from simformer.errors import ConfigError
from simformer.paths import WEIGHTS
from simformer.results import METHOD_ORDER, METHODS, is_role_set
from simformer.splits import dataset_classes, split_names
from train.config import TrainConfig
from train.tasks import method_name

CLASSES = ("sky", "grass", "cat")


def names(columns):
    return [column.name for column in columns]


@pytest.fixture
def runs(tmp_path, make_card):
    return write_models(tmp_path / "runs", make_card)


def test_models_are_found_by_their_cards(runs):
    found = find_columns(CLASSES, [runs])
    assert names(found) == ["CAM", "WSSS (CAM)", "Basic Model", "SimFormer", "SimFormer+", "FullyOracle"]
    assert find_columns(("a", "b", "c"), [runs]) == []
    assert names(find_columns(None, [runs])) == names(found)
    assert find_columns(CLASSES, [runs / "none"]) == []


def test_a_card_s_method_is_the_one_its_training_reports(make_card):
    for method in METHODS:
        if method.training is None:
            continue
        training = method.training
        teacher = None if training.pseudo in (None, "partial_labels") else "cam"
        config = TrainConfig(
            data=".", dataset="custom", novel=["cat"], teacher=teacher,
            pairing=training.pairing, pseudo=training.pseudo, distill_from=training.distill_from,
        )  # fmt: skip
        card = make_card(training=config.model_dump(mode="json"))
        split = next(iter(known_splits(CLASSES, [column(card)]).values()))
        assert method_of(card) == method.name == method_name(config, split)


def test_a_card_says_that_not_all_masks_were_given(make_card):
    settings = {"pairing": "cross", "mask_share": 0.25, "mask_corners": 0, "unmasked": "labels"}
    assert method_of(make_card(training=settings)) == "SimFormer, masks on 25 % of the photos"
    assert method_of(make_card(training=settings | {"mask_share": 1})) == "SimFormer"


def column(card):
    from pathlib import Path

    from simformer.compare.columns import Column

    return Column(method_of(card) or "?", Path("weights.safetensors"), card)


def test_methods_that_no_settings_name(make_card, tmp_path):
    assert method_of(make_card("cam")) == "CAM"
    assert method_of(make_card(roles=("base",) * 3)) == "FullyOracle"
    assert method_of(make_card()) == "SimFormer"  # converted: no settings
    assert method_of(make_card(training={"pairing": "none"})) == "Basic Model"  # from before the other settings
    assert method_of(make_card(training={"pairing": "none", "pseudo": "new"})) is None
    runs = write_models(tmp_path, make_card)
    teacher = {"pairing": "none", "pseudo": "predictions", "teacher": str(runs / "simformer_s1/weights.safetensors")}
    assert method_of(make_card(training=teacher)) == "SimFormer*"
    assert method_of(make_card(training={**teacher, "teacher": "gone"})) is None


def test_the_shipped_models_have_methods_and_splits():
    classes = dataset_classes("msrc21")
    found = find_columns(classes, [WEIGHTS])
    assert {"CAM", "SimFormer", "FullyOracle"} <= set(names(found))
    splits = known_splits(classes, found)
    known = list(split_names("msrc21"))[:-1]
    assert list(splits)[: len(known)] == known
    # Drawn role sets follow, whose models serve composed roles.
    assert all(is_role_set("msrc21", name) for name in list(splits)[len(known) :])
    assert {"CAM", "SimFormer", "FullyOracle"} <= set(names(columns_of(splits["s1"], found)))
    assert all(column.card.novel in ((), splits["s2"].novel) for column in columns_of(splits["s2"], found))


def test_a_later_folder_only_fills_gaps(runs, tmp_path):
    shipped = tmp_path / "shipped"
    shutil.copytree(runs, shipped)
    shutil.rmtree(runs / "cam")
    found = find_columns(CLASSES, [runs, shipped])
    assert names(found)[0] == "CAM" and len(found) == 6
    assert [shipped in column.path.parents for column in found] == [True] + [False] * 5


def test_models_of_one_method_have_names_of_their_own(runs, make_card):
    from simformer.checkpoint import build_network, save_checkpoint

    for folder, seed in (("simformer_s1_seed1", 1), ("simformer_s1_again", 0)):
        card = make_card(training={**SETTINGS["simformer"], "seed": seed})
        (runs / folder).mkdir()
        save_checkpoint(runs / folder / "weights.safetensors", build_network(card).state_dict(), card)
    found = find_columns(CLASSES, [runs])
    [split] = known_splits(CLASSES, found).values()
    assert (split.name, split.novel) == ("s1", (2,))
    shown = [name for name in names(columns_of(split, found)) if name.startswith("SimFormer")]
    assert shown == ["SimFormer", "SimFormer (2)", "SimFormer (seed 1)", "SimFormer+"]


def test_splits_of_one_s_own(runs, make_card):
    found = find_columns(CLASSES, [runs])
    other = column(make_card(roles=("novel", "base", "base"), split="s1"))
    splits = known_splits(CLASSES, [*found, other])
    assert {name: split.novel for name, split in splits.items()} == {"s1": (2,), "sky": (0,)}
    assert names(columns_of(splits["sky"], [*found, other])) == ["CAM", "FullyOracle", "SimFormer"]


def test_choosing(runs):
    found = find_columns(CLASSES, [runs])
    assert names(choose_columns(found, ["simformer+", " CAM ", "cam"])) == ["SimFormer+", "CAM"]
    with pytest.raises(ConfigError, match="no model of the method 'RETAB' for this split; there is CAM, WSSS"):
        choose_columns(found, ["RETAB"])
    assert names(usual_columns(found)) == ["CAM", "WSSS (CAM)", "SimFormer", "SimFormer+", "FullyOracle"]
    assert names(usual_columns(found[2:4])) == ["Basic Model", "SimFormer"]  # one of the usual ones is no comparison
    assert usual_pair(usual_columns(found)) == ("SimFormer", "WSSS (CAM)")
    assert usual_pair(choose_columns(found, ["SimFormer", "SimFormer+"])) == ("SimFormer", "SimFormer+")
    assert usual_pair(choose_columns(found, ["CAM", "FullyOracle"])) == ("FullyOracle", "CAM")
    assert usual_pair(found[:1]) is None
    assert set(names(found)) <= set(METHOD_ORDER)


def test_names_in_a_list_may_hold_commas_themselves():
    quarter = "SimFormer, masks on 25 % of the photos"
    corners = f"{quarter}, masks of at most 8 corners"
    available = ["CAM", "SimFormer", quarter, corners]
    assert listed_names("CAM,SimFormer", available) == ["CAM", "SimFormer"]
    assert listed_names(f"CAM,{quarter},SimFormer", available) == ["CAM", quarter, "SimFormer"]
    assert listed_names(f"{corners},{quarter}", available) == [corners, quarter]
    assert listed_names(" cam , RETAB,,", available) == ["cam", "RETAB"]
    assert listed_names("", available) == listed_names("", []) == []


def test_fingerprints_follow_the_file(runs):
    first, *_ = find_columns(CLASSES, [runs])
    before = first.fingerprint
    assert len(before) == 64
    first.path.write_bytes(first.path.read_bytes() + b" ")
    assert first.fingerprint != before
