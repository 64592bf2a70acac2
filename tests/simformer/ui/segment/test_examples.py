from __future__ import annotations

import sys

from simformer.ui.segment import examples
from simformer.ui.segment.examples import PHOTOS, example_photos
from simformer.utils.images import load_image


def test_the_installed_packages_carry_all_examples():
    found = example_photos()
    assert list(found) == [name for _, _, name in PHOTOS]
    for path in found.values():
        assert min(load_image(path).size) >= 200


def test_a_missing_package_only_costs_its_examples(monkeypatch):
    missing = (("no_such_package", "cat.png", "Nobody"), ("gradio", "no.jpg", "Nothing"))
    monkeypatch.setattr(examples, "PHOTOS", (*missing, *PHOTOS))
    assert list(example_photos()) == [name for _, _, name in PHOTOS]


def test_packages_are_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    example_photos()
    assert "sklearn" not in sys.modules
