"""Roles sent to the Segment tab: composed from the shipped models, and said which model served which class."""

from __future__ import annotations

import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from simformer.checkpoint import build_network, load_checkpoint, save_checkpoint
from simformer.errors import ConfigError
from simformer.splits import Roles
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.roles import (
    OWN_ROLES,
    Sent,
    chosen_text,
    masked_classes,
    masks_sentence,
    read_roles,
    roles_title,
    short_title,
    splits_json,
    take_roles,
)
from simformer.ui.segment.views import honest_sentences, segment_photo

# The fixture's models: split1 has cat novel, split2 has sky novel, oracle has none.
BOTH_NOVEL = Roles(("novel", "base", "novel"))
NONE_NOVEL = Roles(("base", "base", "base"))
GRASS_NOVEL = Roles(("base", "novel", "base"))


def last(models, photo_file, model):
    return list(segment_photo(models, str(photo_file), str(model), 0.0))[-1]


def test_the_picture_is_that_of_the_models_which_had_the_roles(models, photo_file):
    photo = Photo(str(photo_file))
    composed = models.segment(BOTH_NOVEL, photo)
    assert models.composed(BOTH_NOVEL).assignment.models[0] == "split2"
    assert models.composed(BOTH_NOVEL).assignment.models[2] == "split1"
    np.testing.assert_array_equal(composed.score_maps[0], models.segment("split2", photo).score_maps[0])
    np.testing.assert_array_equal(composed.score_maps[2], models.segment("split1", photo).score_maps[2])
    assert composed.roles == ("novel", "base", "novel")


def test_roles_of_one_model_are_that_model(models, photo_file):
    photo = Photo(str(photo_file))
    np.testing.assert_array_equal(models.segment(NONE_NOVEL, photo).labels, models.segment("oracle", photo).labels)


def test_the_status_says_who_served_what(models, photo_file):
    views, _, status = last(models, photo_file, BOTH_NOVEL)
    # Each of the two had masks of a class that is to be novel.
    assert all(f"SimFormer, split {number} (1 of 3 roles differs) serves" in status for number in (1, 2))
    assert "on its way" not in views
    # Each of the two had masks of the class that the other one serves as novel.
    assert "had more masks than these roles" in status


def test_no_masks_at_all_are_told_from_image_labels_alone():
    sentence = honest_sentences(("sky",), Roles(("novel", "novel")))[0]
    assert "image labels alone give is CAM" in sentence
    assert "also of &lt;b&gt;" in honest_sentences(("<b>",), Roles(("novel", "base")))[0]
    assert honest_sentences((), Roles(("novel", "base"))) == []


def test_a_few_novel_classes_are_named():
    classes = ["cat", "dog", "sky"]
    assert masks_sentence(classes, ["sky"]) == "All but cat and dog, novel here."
    assert masks_sentence(classes, ["dog", "sky"]) == "All but cat, novel here."
    assert masks_sentence(classes, classes) == "All of them: no class is novel."
    assert masks_sentence(classes, []) == "None of them: every class is novel."
    assert masks_sentence([str(number) for number in range(21)], ["3"]) == "1 of 21; the others are novel."


def test_a_role_no_model_had_is_said(models, photo_file):
    _, _, status = last(models, photo_file, GRASS_NOVEL)
    assert "not shown: grass" in status


def test_a_second_look_runs_no_network(models, photo_file):
    photo = Photo(str(photo_file))
    assert not models.knows(BOTH_NOVEL, photo)
    models.segment(BOTH_NOVEL, photo)
    assert models.knows(BOTH_NOVEL, photo)


def test_roles_for_another_number_of_classes_are_refused(models):
    with pytest.raises(ConfigError, match="3 classes need as many roles"):
        models.composed(Roles(("base",) * 21))


def test_roles_are_read_from_the_weights_without_loading_them(page_weights, monkeypatch):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(page_weights))
    models = Models()
    assert models.classes == ("sky", "grass", "cat")
    assert models.roles_of("split2") == ("novel", "base", "base")
    assert models.roles_of(BOTH_NOVEL) == ("novel", "base", "novel")
    assert models.with_roles(Roles(("base", "base", "novel"))) == "split1"
    assert models.with_roles(BOTH_NOVEL) == BOTH_NOVEL
    assert not models._loading


@pytest.fixture
def with_role_set(page_weights, tmp_path, make_card, monkeypatch):
    """The models of `page_weights`, and one trained with roles that are no split's."""
    folder = Path(shutil.copytree(page_weights, tmp_path / "weights"))
    card = make_card("simformer", roles=BOTH_NOVEL, dataset="msrc21", split="r02-abcd")
    save_checkpoint(folder / "r02-abcd_plus.safetensors", build_network(card).state_dict(), card)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(folder))
    return Models()


def test_a_role_set_serves_without_standing_in_a_menu(with_role_set, photo_file):
    models, name = with_role_set, "r02-abcd_plus"
    assert name in models.simformers and models.offered == ("split1", "split2")
    assert name not in splits_json(models) and read_roles(models, name) is None
    # Its own roles are not composed any more: it was trained with them.
    assert chosen_text(models, ["grass"], OWN_ROLES) == name
    assert read_roles(models, str(BOTH_NOVEL)) == [OWN_ROLES, ["grass"]]
    # It is loaded when it is asked, not before.
    models.start()
    assert name not in models._loading
    assert models.segment(name, Photo(str(photo_file))).roles == BOTH_NOVEL
    assert models._loading[name].done()


def test_composing_loads_those_alone_that_serve(with_role_set, photo_file):
    models = with_role_set
    # split1 serves sky and grass; cat as base is split2's and FullyOracle's, and as novel split1's.
    assert models._needed(Roles(("base", "base", "novel"))) == ("split1",)
    composed = models.composed(Roles(("novel", "base", "base")))
    assert set(composed.predictors) == {"split2"}
    assert "r02-abcd_plus" not in models._loading


@pytest.mark.parametrize("text", [None, "", "split9", "roles-", "roles-bx", "roles-bb"])
def test_texts_that_name_no_model(models, text):
    assert models.find(text) is None
    assert models.find("split1") == "split1" and models.find(str(BOTH_NOVEL)) == BOTH_NOVEL


def test_the_masked_classes_alone_decide(models):
    assert chosen_text(models, ["grass"], "split1") == "roles-nbn"
    assert chosen_text(models, ["cat", "grass"], OWN_ROLES) == "split2"  # in whatever order they were clicked
    assert chosen_text(models, ["sky", "grass"], "split2") == "split1"


def test_of_several_with_these_roles_the_chosen_one_counts(models):
    models.names += ("split3",)
    models.simformers += ("split3",)
    models._roles["split3"] = models._roles["split1"]
    assert [chosen_text(models, ["sky", "grass"], split) for split in ("split3", "split1", OWN_ROLES)] == [
        "split3",
        "split1",
        "split1",
    ]


def test_without_a_simformer_none_is_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert chosen_text(Models(), [], OWN_ROLES) is None


def test_sent_roles_set_the_masked_classes(models):
    assert take_roles(models, Sent(BOTH_NOVEL, 1)) == ["grass"]
    assert take_roles(models, Sent(Roles(("novel", "base", "base")), 2)) == ["grass", "cat"]
    assert take_roles(models, None) == gr.skip()
    with pytest.raises(gr.Error, match="for 21 classes, but the models here know 3"):
        take_roles(models, Sent(Roles(("base",) * 21), 3))


def test_titles_among_simformers():
    assert [short_title(name) for name in ("split2", BOTH_NOVEL, "oracle")] == ["Split 2", "Your roles", "FullyOracle"]
    assert [short_title("s6_plus"), roles_title("s6_plus"), roles_title("split2")] == [
        "SimFormer+, split 6",
        "Split 6",
        "Split 2",
    ]


def cut(whole, target):
    content = whole.read_bytes()
    target.write_bytes(content[: len(content) // 2])


def lose_a_tensor(whole, target):
    """Its card is fine: only loading it shows the damage."""
    tensors, card = load_checkpoint(whole)
    del tensors["class_head.bias"]
    save_checkpoint(target, tensors, card)


@pytest.mark.parametrize("damage", [cut, lose_a_tensor])
def test_a_damaged_model_leaves_the_others_standing(damage, page_weights, tmp_path, monkeypatch, photo_file):
    for name in ("split1", "cam", "oracle"):
        (tmp_path / f"{name}.safetensors").write_bytes((page_weights / f"{name}.safetensors").read_bytes())
    whole = page_weights / "split2.safetensors"
    damage(whole, tmp_path / whole.name)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    _, _, status = last(models, photo_file, BOTH_NOVEL)
    assert status.startswith("CAM · SimFormer, your roles · FullyOracle on")
    assert "are not shown: sky" in status and "SimFormer, split 2 is left out: " in status
    assert "split2.safetensors" in status


@pytest.mark.parametrize("asked, model", [
    ("split2", "split2"),
    ("roles-nbn", BOTH_NOVEL),
    ("roles-nbb", "split2"),
    ("split77", None),
    ("oracle", None),
    ("roles-bb", None),
])  # fmt: skip
def test_an_address_brings_roles_back(models, asked, model):
    if model is None:
        assert read_roles(models, asked) is None
    else:
        own = isinstance(model, Roles)
        assert read_roles(models, asked) == [OWN_ROLES if own else model, masked_classes(models, model)]


def test_the_table_says_which_model_served_a_class(models, photo_file):
    _, table, _ = last(models, photo_file, BOTH_NOVEL)
    assert "Served by" in table
    row = next((line for line in table.split("<tr>") if ">cat<" in line or "</span>cat" in line), None)
    if row:
        assert "<td>Split 1</td>" in row
    assert "Served by" not in last(models, photo_file, "split1")[1]


def test_without_models_nothing_can_be_composed(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert Models().find("roles-nbn") is None
