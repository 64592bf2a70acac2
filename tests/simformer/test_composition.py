"""Role composition: which model serves a class, and what the composed picture is made of."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simformer.composition import ComposedPredictor, Segmenter, assign_models, compose, nearest_models
from simformer.errors import CheckpointError, ConfigError
from simformer.predictor import Predictor
from simformer.segmentation import Segmentation

CLASSES = ("sky", "grass", "cat")


def segmentation(model: str, *maps: list[list[float]]) -> Segmentation:
    score_maps = np.array(maps, dtype=np.float32)
    labels = score_maps.argmax(0).astype(np.uint8)
    return Segmentation(labels, score_maps, CLASSES, ("base",) * 3, model)


def test_a_model_with_all_wanted_roles_serves_alone():
    models = {"split1": ("base", "base", "novel"), "split2": ("novel", "base", "base")}
    assignment = assign_models(CLASSES, ("base", "base", "novel"), models)
    assert assignment.models == ("split1",) * 3
    assert assignment.used == ("split1",)


def test_classes_come_from_the_model_that_had_them_in_the_wanted_role():
    models = {"split1": ("base", "base", "novel"), "split2": ("novel", "base", "base")}
    assignment = assign_models(CLASSES, ("novel", "base", "novel"), models)
    assert assignment.models[0] == "split2"
    assert assignment.models[2] == "split1"
    assert assignment.unserved == ()


def test_a_role_that_no_model_had_is_said():
    assignment = assign_models(CLASSES, ("novel", "base", "base"), {"oracle": ("base",) * 3})
    assert assignment.models == (None, "oracle", "oracle")
    assert assignment.unserved == ("sky",)


def test_each_class_comes_from_the_nearest_model_that_can_serve_it():
    wanted = ("novel", "base", "base", "base", "novel", "novel")
    models = {
        "near": ("base", "base", "base", "base", "novel", "base"),  # 4 of 6 agree, not classes 0 and 5
        "next": ("novel", "novel", "novel", "base", "novel", "base"),  # 3 agree, class 0 too
        "far": ("novel", "novel", "novel", "novel", "base", "novel"),  # 2 agree, both that are left
    }
    names = tuple("abcdef")
    assert nearest_models(names, wanted, models).models == ("next", "near", "near", "near", "near", "far")
    # Fewer models serve as well where being near is not asked for.
    assert assign_models(names, wanted, models).models == ("far", "near", "near", "near", "near", "far")


def test_roles_must_be_roles():
    with pytest.raises(ConfigError, match="base or novel"):
        assign_models(CLASSES, ("base", "base", "maybe"), {})
    with pytest.raises(ConfigError, match="3 classes"):
        assign_models(CLASSES, ("base",), {})


roles = st.lists(st.sampled_from(("base", "novel")), min_size=3, max_size=3)


@given(wanted=roles, models=st.dictionaries(st.sampled_from("abcd"), roles, max_size=4))
def test_a_class_is_served_exactly_if_some_model_had_it_in_its_role(wanted, models):
    for assign in (assign_models, nearest_models):
        for index, model in enumerate(assign(CLASSES, wanted, models).models):
            able = [name for name, had in models.items() if had[index] == wanted[index]]
            assert (model in able) if able else (model is None)


def test_each_score_map_is_that_of_its_model():
    a = segmentation("a", [[0.9, 0.2]], [[0.1, 0.3]], [[0.0, 0.9]])
    b = segmentation("b", [[0.8, 0.8]], [[0.0, 0.0]], [[0.4, 0.5]])
    assignment = assign_models(
        CLASSES, ("base", "novel", "base"), {"a": ("base", "novel", "novel"), "b": ("novel", "base", "base")}
    )
    composed = compose({"a": a, "b": b}, assignment)
    np.testing.assert_array_equal(composed.score_maps[0], a.score_maps[0])
    np.testing.assert_array_equal(composed.score_maps[1], a.score_maps[1])
    np.testing.assert_array_equal(composed.score_maps[2], b.score_maps[2])
    # Left: 0.9 of sky (a). Right: 0.5 of cat (b) against 0.3 of grass (a); a's own 0.9 of cat does not count.
    np.testing.assert_array_equal(composed.labels, [[0, 2]])
    assert composed.model == "a+b"


def test_no_pixel_goes_to_an_unserved_class():
    only = segmentation("oracle", [[0.9, 0.0]], [[0.0, 0.0]], [[0.1, 0.0]])
    assignment = assign_models(CLASSES, ("novel", "base", "base"), {"oracle": ("base",) * 3})
    composed = compose({"oracle": only}, assignment)
    assert 0 not in composed.labels
    assert (composed.score_maps[0] == 0).all()


def test_a_threshold_makes_weak_pixels_unsure():
    only = segmentation("oracle", [[0.9, 0.1]], [[0.0, 0.0]], [[0.0, 0.0]])
    assignment = assign_models(CLASSES, ("base",) * 3, {"oracle": ("base",) * 3})
    np.testing.assert_array_equal(compose({"oracle": only}, assignment, threshold=0.5).labels, [[0, 255]])


class FixedPredictor:
    name, device = "fixed", torch.device("cpu")

    def __init__(self, roles, result, classes=CLASSES):
        self.roles, self.result, self.classes, self.calls = roles, result, classes, 0

    def segment(self, image, *, threshold=0.0):
        self.calls += 1
        return self.result


def test_only_models_that_serve_a_class_are_run():
    result = segmentation("any", [[0.9]], [[0.1]], [[0.0]])
    full, rest = FixedPredictor(("base",) * 3, result), FixedPredictor(("base", "novel", "novel"), result)
    composed = ComposedPredictor({"full": full, "rest": rest}, ("base",) * 3).segment(None)
    assert (full.calls, rest.calls) == (1, 0)
    assert composed.model == "full"


def test_predictors_and_what_is_composed_of_them_are_one_kind_of_thing(tiny_models):
    """A composed predictor has all that a plain one has for those who segment, so it can itself be a part."""
    plain = Predictor.load(tiny_models / "split1.safetensors", "cpu")
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    whole: Segmenter = ComposedPredictor({"split1": plain}, plain.roles)
    again: Segmenter = ComposedPredictor({"composed": whole}, whole.roles)
    expected = plain.segment(photo, threshold=0.1)
    for segmenter in (whole, again):
        assert (segmenter.classes, segmenter.roles, segmenter.device) == (plain.classes, plain.roles, plain.device)
        np.testing.assert_array_equal(segmenter.segment(photo, threshold=0.1).labels, expected.labels)
    assert (whole.name, again.name) == ("split1", "composed")


def test_models_of_different_classes_do_not_mix():
    result = segmentation("any", [[0.9]], [[0.1]], [[0.0]])
    ours, theirs = FixedPredictor(("base",) * 3, result), FixedPredictor(("base",) * 3, result, ("sky", "road", "cat"))
    with pytest.raises(CheckpointError, match="'grass'"):
        ComposedPredictor({"ours": ours, "theirs": theirs}, ("base",) * 3)


def test_nothing_served_is_an_error():
    with pytest.raises(ConfigError, match="no model"):
        ComposedPredictor({}, ())


def test_models_that_had_more_masks_than_the_roles_are_told():
    classes = ("sky", "cow", "cat")
    had = {"one": ("base", "novel", "base"), "two": ("base", "base", "novel"), "three": ("novel", "base", "base")}
    parts = {name: SimpleNamespace(classes=classes, roles=roles) for name, roles in had.items()}
    both = ComposedPredictor(parts, ("base", "novel", "novel"))
    # "one" serves sky and cow and had masks of cat, "two" serves cat and had masks of cow.
    assert both.more_masks == ("cow", "cat")
    assert ComposedPredictor(parts, had["one"]).more_masks == ()
    assert ComposedPredictor(parts, ("novel",) * 3).more_masks == classes
