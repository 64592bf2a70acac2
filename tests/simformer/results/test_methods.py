"""One row a method: names and trainings tell methods apart, and so do colors and symbols."""

from __future__ import annotations

from simformer.results import METHOD_ORDER, METHODS, NAME_OF_TRAINING, Training


def test_no_two_methods_look_alike():
    for attribute in ("name", "color", "symbol"):
        values = [getattr(method, attribute) for method in METHODS]
        assert len(set(values)) == len(values), attribute
    trainings = [method.training for method in METHODS if method.training]
    assert len(set(trainings)) == len(trainings) == len(NAME_OF_TRAINING)


def test_order_and_names():
    assert METHOD_ORDER[0] == "CAM" and METHOD_ORDER[-1] == "FullyOracle"
    assert NAME_OF_TRAINING[Training("cross")] == "SimFormer"
    assert NAME_OF_TRAINING[Training("cross", "partial_labels", "partial_labels")] == "SimFormer+"


def test_a_training_as_it_is_noted():
    assert Training.noted({}) == Training()
    assert Training.noted({"pairing": "cross", "pseudo": None}) == Training("cross")
    for pseudo in ("retab", {"kind": "retab", "beta": 4}):
        assert NAME_OF_TRAINING[Training.noted({"pairing": "none", "pseudo": pseudo})] == "RETAB"
