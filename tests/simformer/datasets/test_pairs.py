"""Which image becomes the reference of which input."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simformer.datasets import pairs
from simformer.datasets.pairs import ReferenceChooser
from simformer.errors import ConfigError

NOVEL, BASE = (0, 1, 2), (3, 4)


def draws(image_labels, index: int, count: int = 400, **options) -> Counter:
    chooser = ReferenceChooser(image_labels, NOVEL, BASE, **options)
    rng = np.random.default_rng(0)
    return Counter(chooser.choose(index, rng) for _ in range(count))


def test_images_that_share_exactly_one_novel_class():
    # Input 0 shows novel 0 and 1. Images 1, 2, 3 share just class 0, image 4 just class 1, image 5 both.
    images = [(0, 1), (0,), (0, 2), (0, 3), (1, 4), (0, 1, 2), (2,), (3,)]
    found = draws(images, 0, 1200)
    assert set(found) == {1, 2, 3, 4}
    assert 540 < found[4] < 660  # first a class, uniformly; then an image
    assert all(150 < found[image] < 250 for image in (1, 2, 3))


def test_now_and_then_the_class_with_fewest_candidates(monkeypatch):
    images = [(0, 1, 2), (0,), (0,), (0,), (1,), (1,)]
    assert set(draws(images, 0)) == {1, 2, 3, 4, 5}
    monkeypatch.setattr(pairs, "RAREST_PROBABILITY", 1.0)
    assert set(draws(images, 0)) == {4, 5}  # class 2 has no candidate at all, so class 1 has the fewest


def test_the_released_caps():
    # Input 0 shows novel 0 and 1: 6 images share just class 0, 4 just class 1, and no more than 3 of each are asked.
    images = [(0, 1), *[(0,)] * 6, *[(1,)] * 4, (0, 1)]
    found = draws(images, 0, 1200, candidate_caps=(3, 1))
    assert len(found) == 6 and len(found.keys() & set(range(1, 7))) == 3 == len(found.keys() & set(range(7, 11)))
    assert all(150 < count < 250 for count in found.values())
    assert draws(images, 0, 1200, candidate_caps=(3, 1)) == found  # the same images in every run
    assert set(draws(images, 0, 400, candidate_caps=(6, 1))) == set(range(1, 11))
    assert len({frozenset(draws([*images, (0, 1)], index, 100, candidate_caps=(3, 1))) for index in (0, 11)}) == 2


@pytest.mark.parametrize("images", [[(0, 1), *[(0, 1)] * 5], [(0,), *[(1,)] * 3], [(3,), *[(3,)] * 5]])
def test_caps_of_the_fallbacks(images):
    everyone = set(draws(images, 0))
    assert len(draws(images, 0, candidate_caps=(1, 2))) == min(2, len(everyone))
    assert set(draws(images, 0, candidate_caps=(1, 5))) == everyone


def test_capped_classes_are_equally_rare(monkeypatch):
    monkeypatch.setattr(pairs, "RAREST_PROBABILITY", 1.0)
    images = [(0, 1), *[(0,)] * 6, *[(1,)] * 4]
    assert set(draws(images, 0)) == set(range(7, 11))
    assert set(draws(images, 0, candidate_caps=(4, 50))) < set(range(1, 7))


@pytest.mark.parametrize("caps", [(0, 50), (500, 0)])
def test_impossible_caps(caps):
    with pytest.raises(ConfigError, match="candidate caps must be at least 1"):
        ReferenceChooser([(0,)], NOVEL, BASE, candidate_caps=caps)


@pytest.mark.parametrize("images, expected", [
    ([(0, 1), (0, 1), (3,)], {1}),  # only an image that shares two novel classes
    ([(0, 3), (1, 3), (2, 4), (3,)], {1, 3}),  # no shared novel class: one that shares a base class
    ([(3,), (0, 3), (1, 3), (4,)], {1, 2}),  # the input has no novel class
    ([(0,), (1, 3), (4,)], {0}),  # nothing shared: the input itself
    ([(0,)], {0}),
    ([(), (0,)], {0}),
])  # fmt: skip
def test_fallbacks(images, expected):
    assert set(draws(images, 0, 100)) == expected


def test_self_pair():
    assert set(draws([(0,), (0,)], 1, 20, mode="self")) == {1}


def test_there_is_nothing_to_choose_without_pairs():
    with pytest.raises(ConfigError, match="not for 'none'"):
        ReferenceChooser([(0,)], NOVEL, BASE, "none")


def candidates(images: list[set[int]], index: int) -> set[int]:
    """The rule, word by word."""
    others = [image for image in range(len(images)) if image != index]
    shared = {image: images[index] & images[image] & set(NOVEL) for image in others}
    base = {image: images[index] & images[image] & set(BASE) for image in others}
    return (
        {image for image in others if len(shared[image]) == 1}
        or {image for image in others if shared[image]}
        or {image for image in others if base[image]}
        or {index}
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=8), st.data())
def test_the_rule_word_by_word(images, data):
    index = data.draw(st.integers(0, len(images) - 1))
    found = set(draws([tuple(labels) for labels in images], index, 60))
    allowed = candidates(images, index)
    assert found <= allowed
    if len(allowed) <= 3:
        assert found == allowed


def test_twenty_thousand_images_are_no_burden():
    rng = np.random.default_rng(0)
    images = [tuple(rng.choice(171, 8, replace=False).tolist()) for _ in range(20_000)]
    chooser = ReferenceChooser(images, range(43), range(43, 171))
    for index in range(100):
        reference = chooser.choose(index, rng)
        shared = set(images[index]) & set(images[reference])
        assert reference != index
        if any(label < 43 for label in images[index]):
            assert len([label for label in shared if label < 43]) == 1


def test_on_unmasked_images_base_classes_are_as_novel_ones():
    # Inputs 0 (masked) and 1 (not) show base 3 and 4; images 2 and 4 share 3 with them, of which 4 has no mask.
    images = [(3, 4), (3, 4), (3,), (0, 4), (3, 0)]
    assert set(draws(images, 0)) == {1, 2, 3, 4}
    assert set(draws(images, 1, unmasked=[1, 4])) == {4}
    assert set(draws(images, 0, unmasked=[1, 4])) == {2, 3}  # a mask has to be shared
    assert set(draws(images, 4, unmasked=[1, 4])) == {1, 3}
    assert draws(images, 0, unmasked=[]) == draws(images, 0)
