"""Role sets drawn at random: balanced, never nested, the same everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations, pairwise

import pytest
import yaml

from simformer.errors import ConfigError
from simformer.paths import ROOT
from simformer.splits import ALL_BASE, dataset_classes, load_split, split_names
from train.tables import draws
from train.tables.draws import RandomSplits, draw_role_sets, drawn_for, role_set_name

MSRC = dataset_classes("msrc21")
THIRTY_SEVEN = tuple(f"class {number}" for number in range(37))
SHIPPED = [{MSRC[i] for i in load_split("msrc21", name).novel} for name in split_names("msrc21") if name != ALL_BASE]
PINNED = ["r02-64d1", "r08-d435", "r06-fc29", "r12-9372", "r04-9c91", "r10-c882"]
DRAWN = RandomSplits(count=16, novel=(2, 12))


def nested(sets):
    return [(a, b) for a, b in combinations(map(set, sets), 2) if a <= b or b <= a]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("classes, count, novel, often, together", [
    (MSRC, 16, (2, 12), (5, 6), (0, 5)),
    (THIRTY_SEVEN, 14, (3, 18), (4, 4), (0, 4)),
    (MSRC, 4, (2, 12), (1, 2), (0, 2)),
])  # fmt: skip
def test_balance(classes, count, novel, often, together, seed):
    sets = [set(drawn.novel) for drawn in draw_role_sets(classes, count, novel, seed)]
    assert len(sets) == count and not nested(sets)
    times = [sum(name in each for each in sets) for name in classes]
    assert (min(times), max(times)) == often
    pairs = [sum({a, b} <= each for each in sets) for a, b in combinations(classes, 2)]
    assert together[0] <= min(pairs) and max(pairs) <= together[1]
    # Of sets without balance the variance would be about the mean.
    mean = sum(pairs) / len(pairs)
    assert sum((pair - mean) ** 2 for pair in pairs) / len(pairs) < 0.6 * mean
    sizes = sorted(map(len, sets))
    gaps = [b - a for a, b in pairwise(sizes)]
    assert novel[0] <= sizes[0] and sizes[-1] <= novel[1] and max(gaps) <= 1 + (novel[1] - novel[0]) // count
    assert count < 14 or (sizes[0], sizes[-1]) == novel


def test_the_first_of_them_are_spread_over_the_sizes():
    sizes = [len(drawn.novel) for drawn in DRAWN.draw(MSRC)]
    assert sizes[:4] == [2, 7, 5, 10] and sorted(sizes) == [2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12]
    assert RandomSplits(count=16, novel=(2, 12), first=4).draw(MSRC) == DRAWN.draw(MSRC)[:4]


@pytest.mark.slow
def test_the_same_draw_on_every_machine():
    # Another version of numpy, or another order of sets of Python, must draw these.
    code = (
        "from train.tables.draws import draw_role_sets; from simformer.splits import dataset_classes; "
        "print(*(drawn.name for drawn in draw_role_sets(dataset_classes('msrc21'), 6, (2, 12), 5)))"
    )
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == PINNED == [drawn.name for drawn in draw_role_sets(MSRC, 6, (2, 12), 5)]
    assert draw_role_sets(MSRC, 6, (2, 12), 6) != draw_role_sets(MSRC, 6, (2, 12), 5)


def test_names_tell_the_size_and_stand_for_the_set():
    assert role_set_name(["cow", "body"]) == role_set_name(("body", "cow"))
    assert role_set_name(["cow", "body"]) == "r02-e9a4"
    for drawn in draw_role_sets(THIRTY_SEVEN, 14, (3, 18)):
        assert re.fullmatch(rf"r{len(drawn.novel):02d}-[0-9a-f]{{4}}", drawn.name)
        assert yaml.safe_load(drawn.name) == drawn.name
        assert list(drawn.novel) == [name for name in THIRTY_SEVEN if name in drawn.novel]


def test_two_sets_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(draws, "role_set_name", lambda novel: f"r{len(novel):02d}-0000")
    with pytest.raises(ConfigError, match="two role sets are called r05-0000: draw with another seed than 77"):
        draw_role_sets(MSRC, 2, (5, 5), 77)


@pytest.mark.parametrize("seed", range(4))
def test_later_draws_are_not_nested_with_earlier_ones(seed):
    drawn = RandomSplits(count=16, novel=(2, 12), seed=seed, first=1)
    sealed = RandomSplits(count=4, novel=(2, 12), seed=seed, after=drawn)
    third = RandomSplits(count=3, novel=(4, 12), seed=seed, after=sealed)
    shipped = tuple(tuple(name for name in MSRC if name in each) for each in SHIPPED)
    earlier = drawn.model_copy(update={"first": None}).draw(MSRC, shipped)  # all of them, whichever are run
    sets = [set(each.novel) for each in (*earlier, *sealed.draw(MSRC, shipped), *third.draw(MSRC, shipped))]
    assert len(sets) == 23
    among_shipped = nested(SHIPPED)
    assert [pair for pair in nested([*sets, *SHIPPED]) if pair not in among_shipped] == []


def test_one_set_gives_way_to_earlier_ones():
    first = draw_role_sets(MSRC, 1, (5, 5), 8)[0].novel
    assert not nested([first, draw_role_sets(MSRC, 1, (5, 5), 8, (first,))[0].novel])


def test_classes_are_those_of_the_data_set(settings, scenes):
    config = settings(dataset="msrc21", novel=None)
    sets = [set(drawn.novel) for drawn in drawn_for(config, DRAWN)]
    assert not [pair for pair in nested([*sets, *SHIPPED]) if pair not in nested(SHIPPED)]
    own = drawn_for(settings(), RandomSplits(count=2, novel=(2, 3)))
    assert {name for drawn in own for name in drawn.novel} <= set((scenes / "classes.txt").read_text().split("\n"))


@pytest.mark.parametrize("count, novel, words", [
    (4, (0, 3), "4 role sets of 0 to 3 of 21 classes cannot be drawn: a set has at least one novel class"),
    (4, (3, 21), "4 role sets of 3 to 21 of 21 classes cannot be drawn"),
    (4, (5, 3), "4 role sets of 5 to 3 of 21 classes cannot be drawn"),
    (22, (1, 1), "there are not so many of which none holds another"),
    (211, (2, 2), "there are not so many of which none holds another"),
    (16, (1, 12), "16 role sets of 1 to 12 of 21 classes were not found, of which none holds another"),
])  # fmt: skip
def test_impossible_draws(count, novel, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        draw_role_sets(MSRC, count, novel)
