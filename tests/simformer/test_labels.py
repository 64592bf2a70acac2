"""Label maps in and out, those of many pixels too."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from simformer.errors import DatasetError
from simformer.labels import palette_image, read_label_png, value_counts
from simformer.utils import regions, spans


@pytest.mark.parametrize("mode", ["L", "P"])
def test_strips_of_a_label_map_are_the_whole(tmp_path, monkeypatch, mode):
    drawn = np.random.default_rng(0).integers(0, 256, (17, 23), dtype=np.uint8)
    (Image.fromarray(drawn) if mode == "L" else palette_image(drawn, ["cow"])).save(tmp_path / "map.png")
    for pixels in (1, 60, 10**6):
        monkeypatch.setattr(spans, "COUNTED_PIXELS", pixels)
        assert (read_label_png(tmp_path / "map.png") == drawn).all()
        assert (value_counts(drawn) == np.bincount(drawn.ravel(), minlength=256)).all()
        numbered = regions.number_regions(drawn > 100)
        assert (regions.region_areas(numbered) == np.bincount(numbered.ravel())[1:]).all()
    assert not len(regions.region_areas(np.zeros((4, 4), np.int32)))


def test_other_pictures_are_no_label_maps(tmp_path):
    for mode in ("RGB", "1", "I;16"):
        Image.new(mode, (4, 4)).save(tmp_path / "map.png")
        with pytest.raises(DatasetError, match=f"is of mode {mode}"):
            read_label_png(tmp_path / "map.png")


def test_a_large_label_map_is_counted_in_little_memory():
    drawn = np.zeros((3000, 10_000), np.uint8)
    tracemalloc.start()
    assert value_counts(drawn)[0] == drawn.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 8 * spans.COUNTED_PIXELS
