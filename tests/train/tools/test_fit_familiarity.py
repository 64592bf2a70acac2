from __future__ import annotations

import pytest

from simformer.datasets.folder import FolderDataset
from simformer.datasets.synthetic import write_scenes
from simformer.errors import ConfigError
from train.data import held_out_names
from train.tools.fit_familiarity import auroc, told, without_known


def test_told_by_hand():
    known, unknown = [0.9, 0.8, 0.4], [0.5, 0.4]
    assert auroc(known, unknown) == pytest.approx((2 + 2 + 0.5) / 6)
    found = told(known, unknown, 0.45)
    assert (found.false_alarms, found.found) == (pytest.approx(1 / 3, abs=1e-4), 0.5)


def test_unknown_photos_show_no_class_that_both_know(tmp_path):
    root = write_scenes(tmp_path, 12, size=(48, 64))
    (root / "classes.txt").write_text("\n".join(["sky", "grass", "books", *(f"class {i}" for i in range(20))]))
    photos = FolderDataset(root, None)
    for classes, values in ((("sky",), {0}), (("book",), {2}), (("dog",), set())):
        expected = [i for i, shown in enumerate(photos.all_image_labels()) if not values & set(shown)]
        assert without_known(photos, classes) == expected


def test_held_out_names_are_one_choice_in_the_order_of_the_list():
    names = [f"photo {index:03d}" for index in range(50)]
    held = held_out_names(names, 0.2)
    assert len(held) == 10 and held == sorted(held) == held_out_names(names, 0.2)
    with pytest.raises(ConfigError, match="leaves nothing"):
        held_out_names(names[:2], 0.1)
