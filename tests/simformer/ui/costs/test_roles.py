"""Roles that the Annotation cost tab sends to the Segment tab."""

from __future__ import annotations

import gradio as gr
import pytest

from simformer.costs.roles import roles_for, split_masked
from simformer.errors import ConfigError, UnknownClassError
from simformer.splits import dataset_classes, load_split
from simformer.ui.costs.tab import send_roles


def test_roles_are_sent_in_the_order_of_the_models_classes():
    classes = dataset_classes("msrc21")
    reordered = [[name, 10, 1] for name in reversed(classes)]
    (roles, number), tabs = send_roles(classes, reordered, split_masked("msrc21", "s4"))
    assert roles == load_split("msrc21", "s4").roles
    assert tabs.selected == "segment"
    assert set(send_roles(classes, reordered, [])[0].roles) == {"novel"}
    # Sent again they are something new, or the Segment tab would not notice.
    assert send_roles(classes, reordered, split_masked("msrc21", "s4"))[0] != (roles, number)


def test_roles_of_other_classes_are_refused_in_a_sentence():
    with pytest.raises(gr.Error, match="unicorn"):
        send_roles(dataset_classes("msrc21"), [["unicorn", 10, 1]], ["unicorn"])
    with pytest.raises(ConfigError, match="also need a role for 'grass'"):
        roles_for(("cow", "grass"), ["cow"], ["cow"])
    with pytest.raises(UnknownClassError):
        roles_for(("cow",), ["cow"], ["grass"])
    with pytest.raises(ConfigError, match="no model"):
        roles_for((), ["cow"], ["cow"])


def test_roles_of_own_classes_fit_own_models():
    rows = [["gear", 10, 1], ["bolt", 20, 1]]
    assert send_roles(("bolt", "gear"), rows, ["gear"])[0].roles == ("novel", "base")
