"""Roles sent to the Segment tab: composed from the shipped models, and said which model served which class."""

from __future__ import annotations

import numpy as np
import pytest

from simformer.errors import ConfigError
from simformer.ui.models import Models, roles_model, title
from simformer.ui.photos import Photo
from simformer.ui.segment import roles_choice, segment_photo

# The fixture's models: split1 has cat novel, split2 has sky novel, oracle has none.
BOTH_NOVEL = roles_model(("novel", "base", "novel"))
NONE_NOVEL = roles_model(("base", "base", "base"))
GRASS_NOVEL = roles_model(("base", "novel", "base"))


def last(models, photo_file, model):
    return list(segment_photo(models, str(photo_file), model, 0.0))[-1]


def test_the_picture_is_that_of_the_models_which_had_the_roles(models, photo_file):
    photo = Photo(str(photo_file))
    composed = models.segment(BOTH_NOVEL, photo)
    assert models.assignment(BOTH_NOVEL).models[0] == "split2"
    assert models.assignment(BOTH_NOVEL).models[2] == "split1"
    np.testing.assert_array_equal(composed.score_maps[0], models.segment("split2", photo).score_maps[0])
    np.testing.assert_array_equal(composed.score_maps[2], models.segment("split1", photo).score_maps[2])
    assert composed.roles == ("novel", "base", "novel")


def test_roles_of_one_model_are_that_model(models, photo_file):
    photo = Photo(str(photo_file))
    np.testing.assert_array_equal(models.segment(NONE_NOVEL, photo).labels, models.segment("oracle", photo).labels)


def test_the_status_says_who_served_what(models, photo_file):
    views, _, status = last(models, photo_file, BOTH_NOVEL)
    assert "SimFormer, split 1 serves" in status and "SimFormer, split 2 serves" in status
    assert "on its way" not in views


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
        models.assignment(roles_model(("base",) * 21))


def test_the_choice_of_split_gains_the_sent_roles(models):
    choice = roles_choice(models, ("novel", "base", "novel"))
    assert choice.value == BOTH_NOVEL
    assert (title(BOTH_NOVEL), BOTH_NOVEL) in choice.choices
    assert [value for _, value in roles_choice(models, None).choices] == ["split1", "split2"]


def test_without_models_nothing_can_be_composed(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert not Models().has(BOTH_NOVEL)
