"""Shipped splits and custom ones."""

from __future__ import annotations

from itertools import pairwise

import pytest

from simformer.errors import ConfigError, UnknownClassError
from simformer.splits import (
    Roles,
    class_index,
    custom_split,
    dataset_classes,
    datasets,
    listed_classes,
    load_split,
    shipped_choice,
    split_choice,
    split_label,
    split_names,
    split_order,
)

SPLITS = [(dataset, name) for dataset in datasets() for name in split_names(dataset)]


def test_data_sets_and_their_splits():
    assert {name: len(dataset_classes(name)) for name in datasets()} == {
        "coco_stuff_10k": 171,
        "ade20k": 150,
        "msrc21": 21,
        "nyuv2": 37,
    }
    assert split_names("coco_stuff_10k") == (*(f"s{i}" for i in range(1, 10)), "all_base")
    assert split_names("ade20k") == ("s1", "s2", "s3", "s4", "all_base")
    assert split_names("msrc21") == split_names("nyuv2") == split_names("coco_stuff_10k")
    assert len(SPLITS) == 10 + 5 + 10 + 10


@pytest.mark.parametrize("dataset, name", SPLITS)
def test_base_and_novel_divide_the_classes(dataset, name):
    split = load_split(dataset, name)
    assert (split.dataset, split.name, split.classes) == (dataset, name, dataset_classes(dataset))
    assert len(set(split.novel)) == len(split.novel)
    assert sorted(split.base + split.novel) == list(range(len(split.classes)))
    assert list(split.novel) == sorted(split.novel) and list(split.base) == sorted(split.base)
    assert [index for index, role in enumerate(split.roles) if role == "novel"] == list(split.novel)
    assert bool(split.novel) == (name != "all_base")


def test_msrc_split_1_by_name():
    split = load_split("msrc21", "s1")
    assert [split.classes[index] for index in split.novel] == ["tree", "sheep", "bicycle", "road", "dog"]


def test_nyu_split_4_by_name():
    split = load_split("nyuv2", "s4")
    names = ["table", "desk", "shelves", "mirror", "paper", "towel", "toilet", "bag"]
    assert [split.classes[index] for index in split.novel] == names
    assert (split.classes[0], split.classes[36]) == ("wall", "bag")


def test_splits_grow_as_the_paper_says():
    for dataset in ("coco_stuff_10k", "msrc21", "nyuv2"):
        novel = [set(load_split(dataset, f"s{number}").novel) for number in range(4, 10)]
        assert all(small < large for small, large in pairwise(novel))
    sizes = [len(load_split("coco_stuff_10k", f"s{number}").novel) for number in range(1, 10)]
    assert sizes == [43, 43, 43, 43, 51, 59, 68, 76, 85]
    for dataset in ("msrc21", "nyuv2"):
        first_four = [load_split(dataset, f"s{number}").novel for number in range(1, 5)]
        assert len(set().union(*first_four)) == sum(map(len, first_four))
    assert [len(load_split("nyuv2", f"s{number}").novel) for number in range(1, 10)] == [9, 9, 9, 8, 10, 12, 14, 16, 18]


def test_class_names_are_clean_and_unique():
    for dataset in datasets():
        classes = dataset_classes(dataset)
        assert len(set(classes)) == len(classes)
        assert all(name == name.strip() and name for name in classes)


def test_unknown_names_say_what_there_is():
    with pytest.raises(ConfigError, match=r"no split 's10'; its splits are s1, .*, all_base"):
        load_split("msrc21", "s10")
    with pytest.raises(ConfigError, match=r"'voc'; the data sets are coco_stuff_10k, ade20k, msrc21, nyuv2"):
        load_split("voc", "s1")


def test_custom_split():
    split = custom_split(["sky", "cat", "dog"], ["dog", "sky", "dog"])
    assert (split.dataset, split.name) == ("custom", "custom")
    assert split.novel == (0, 2)
    assert split.base == (1,)
    assert split.roles == ("novel", "base", "novel")
    assert custom_split(["sky"], []).roles == ("base",)
    assert custom_split(["sky"], [], "cheap").name == "cheap"
    with pytest.raises(UnknownClassError, match="no class 'dogg'; did you mean 'dog'"):
        custom_split(["sky", "cat", "dog"], ["dogg"])
    with pytest.raises(ConfigError, match="'cat' is listed twice"):
        custom_split(["cat", "sky", "cat"], [])


def test_class_index():
    assert class_index(("a", "b"), "b") == 1
    with pytest.raises(UnknownClassError, match="no class 'zzz'; the classes are a, b"):
        class_index(("a", "b"), "zzz")


def test_the_classes_of_a_data_set_that_may_not_be_there(tmp_path):
    assert listed_classes(tmp_path) == ()
    (tmp_path / "classes.txt").write_text("\ufeffsky\ncow\n", encoding="utf-8")
    assert listed_classes(tmp_path) == ("sky", "cow")


def test_roles_as_text_and_back():
    roles = load_split("msrc21", "s1").roles
    assert Roles.parse(str(roles)) == roles and hash(Roles.parse(str(roles))) == hash(roles)
    assert str(Roles(("base", "novel"))) == "roles-bn" and Roles(("base", "novel")) == ("base", "novel")


@pytest.mark.parametrize("text", [None, "", "s1", "bn", "roles-", "roles-bx", "roles-b n"])
def test_texts_that_hold_no_roles(text):
    assert Roles.parse(text) is None


def test_roles_by_the_names_of_the_base_classes():
    roles = Roles.with_base(("sky", "cow", "cat"), ["cat", "sky"])
    assert roles == ("base", "novel", "base") and roles.base_of(("sky", "cow", "cat")) == ["sky", "cat"]
    with pytest.raises(ConfigError, match="base or novel, not 'maybe'"):
        Roles(("base", "maybe"))


def test_numbered_splits_come_in_order_and_others_behind():
    names = ["r01-ab12", "s10", "all_base", "s2", "s²", "custom", "s100", "s1"]
    assert sorted(names, key=split_order) == ["s1", "s2", "s10", "s100", "all_base", "custom", "r01-ab12", "s²"]


def test_splits_in_words():
    assert [split_label(name) for name in ("s1", "s12", "all_base", "custom")] == ["1", "12", "all base", "custom"]
    assert [split_label(name) for name in ("a_b", "a b", "s²")] == ["a_b", "a b", "s²"]


def test_splits_in_menus_say_their_novel_classes():
    assert shipped_choice("msrc21", "s2") == "Split 2: cow, aeroplane, flower, sign, body"
    assert shipped_choice("nyuv2", "s2") == "Split 2: cabinet, bed, door, blinds and 5 more"
    assert shipped_choice("msrc21", "all_base") == "Split all base"
    assert shipped_choice("msrc21", "r01-ab12") == "Split r01-ab12" and shipped_choice("custom", "s1") == "Split 1"


def test_menus_say_novel_classes():
    classes = ("sky", "grass", "cat", "dog", "cow", "road", "boat")
    assert split_choice("s2", classes, [2, 3]) == "Split 2: cat, dog"
    assert split_choice("s5", classes, range(6)) == "Split 5: sky, grass, cat, dog and 2 more"
    assert split_choice("r02-c348", classes, [0, 1]) == "Role set r02-c348: sky, grass"
    assert split_choice("all_base", classes, []) == "Split all base"
