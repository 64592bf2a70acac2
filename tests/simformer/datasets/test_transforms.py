"""The training transform: photo and labels stay aligned, sizes and padding are right."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simformer.datasets.transforms import TrainTransform, photometric_distortion
from simformer.errors import ConfigError


def coordinates(height: int, width: int, axis: str) -> torch.Tensor:
    """uint8 H x W whose value is the column ("x") or the row ("y")."""
    values = torch.arange(width).expand(height, width) if axis == "x" else torch.arange(height)[:, None]
    return values.expand(height, width).to(torch.uint8).contiguous()


sides = st.integers(1, 200)


@settings(max_examples=150, deadline=None)
@given(
    height=sides,
    width=sides,
    crop=st.integers(1, 64),
    low=st.floats(0.1, 2),
    spread=st.floats(1, 4),
    axis=st.sampled_from("xy"),
    seed=st.integers(0, 2**31),
)
def test_photo_and_labels_stay_aligned(height, width, crop, low, spread, axis, seed):
    truth = coordinates(height, width, axis)
    torch.manual_seed(seed)
    transform = TrainTransform(crop, (low, low * spread), photometric=False)
    image, labels, padding = transform(truth.expand(3, -1, -1), truth)

    assert image.shape == (3, crop, crop) and labels.shape == padding.shape == (crop, crop)
    assert (image.dtype, labels.dtype, padding.dtype) == (torch.uint8, torch.uint8, torch.bool)
    assert (labels[padding] == 255).all() and (image[:, padding] == 128).all()
    assert not padding[0, 0]
    seen = ~padding
    # Nearest and antialiased bilinear sampling may differ by a pixel of the coarser grid.
    tolerance = 1 + min(height, width) / (crop * low)
    assert (image[0].float() - labels.float())[seen].abs().max() <= tolerance
    assert (labels[seen] < (width if axis == "x" else height)).all()


def test_at_scale_one_the_crop_is_a_window_of_the_photo_or_its_mirror_image():
    torch.manual_seed(0)
    photo = torch.randint(0, 256, (3, 20, 50), dtype=torch.uint8)
    labels = photo.sum(0, dtype=torch.int32).remainder(251).to(torch.uint8)
    transform = TrainTransform(20, (1, 1), photometric=False)
    lefts, mirrored = set(), set()
    for _ in range(300):
        image, cropped, padding = transform(photo, labels)
        assert not padding.any()
        assert torch.equal(cropped, image.sum(0, dtype=torch.int32).remainder(251).to(torch.uint8))
        for flipped, candidate in ((False, image), (True, image.flip(2))):
            for left in range(31):
                if torch.equal(candidate, photo[:, :, left : left + 20]):
                    lefts.add(left)
                    mirrored.add(flipped)
                    break
    assert lefts == set(range(31)) and mirrored == {False, True}


@pytest.mark.parametrize("shape, size", [((40, 80), (16, 32)), ((80, 40), (32, 16)), ((40, 60), (16, 24))])
def test_small_photos_are_padded_right_and_below(shape, size):
    photo = torch.full((3, *shape), 200, dtype=torch.uint8)
    image, labels, padding = TrainTransform(32, (0.5, 0.5), photometric=False)(photo, photo[0] // 50)
    expected = torch.ones(32, 32, dtype=torch.bool)
    expected[: size[0], : size[1]] = False
    assert torch.equal(padding, expected)
    assert image[:, ~padding].unique().tolist() == [200] and image[:, padding].unique().tolist() == [128]
    assert labels[~padding].unique().tolist() == [4] and labels[padding].unique().tolist() == [255]


def test_scale_covers_its_range():
    torch.manual_seed(1)
    photo = torch.zeros(3, 100, 100, dtype=torch.uint8)
    transform = TrainTransform(64, (0.5, 1.0), flip=False, photometric=False)
    sides = [int((~transform(photo, photo[0])[2])[0].sum()) for _ in range(300)]
    assert min(sides) in (32, 33, 34) and max(sides) in (62, 63, 64)
    assert 46 < sum(sides) / 300 < 50


def scaled_sides(shape: tuple[int, int], crop: int, scale: tuple[float, float], **options) -> set[tuple[int, int]]:
    """(height, width) of 300 scaled photos, which the crops hold as a whole."""
    torch.manual_seed(1)
    photo = torch.zeros(3, *shape, dtype=torch.uint8)
    transform = TrainTransform(crop, scale, photometric=False, **options)
    seen = [~transform(photo, photo[0])[2] for _ in range(300)]
    return {(int(inside[:, 0].sum()), int(inside[0].sum())) for inside in seen}


@pytest.mark.parametrize("scale, step, sides", [
    ((0.5, 1.0), 0.1, {50, 60, 70, 80, 90, 100}),
    ((0.3, 0.9), 0.3, {30, 60, 90}),
    ((0.5, 1.0), 0.2, {50, 70, 90}),  # the steps begin at the lower end
    ((0.5, 1.0), 0.7, {50}),
    ((0.7, 0.7), 0.1, {70}),
])  # fmt: skip
def test_scale_in_steps(scale, step, sides):
    assert scaled_sides((40, 40), 100, scale, scale_step=step) == {(side, side) for side in sides}


def test_the_released_scales():
    torch.manual_seed(0)
    for high, count in ((1.5, 11), (2.0, 16)):
        transform = TrainTransform(640, (0.5, high), scale_step=0.1)
        drawn = sorted({round(transform._scale(), 6) for _ in range(1000)})
        assert drawn == pytest.approx([0.5 + 0.1 * step for step in range(count)])


def test_a_long_side_has_its_limit():
    # At scale 0.5 and 1 the photo of 40 x 120 would be 20 x 60 and 40 x 120; 90 pixels are the most.
    options = {"scale_step": 0.5, "long_side": 90}
    assert scaled_sides((40, 120), 40, (0.5, 1.0), **options) == {(20, 40), (30, 40)}
    assert scaled_sides((120, 40), 40, (0.5, 1.0), **options) == {(40, 20), (40, 30)}
    assert scaled_sides((40, 80), 40, (1.0, 1.0), long_side=90) == {(40, 40)}  # 40 x 80: below the limit


# --- maps that are cropped along ----------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(8, 200),
    width=st.integers(8, 200),
    crop=st.integers(2, 16),
    low=st.floats(0.2, 2),
    spread=st.floats(1, 3),
    seed=st.integers(0, 2**31),
)
def test_maps_stay_aligned(height, width, crop, low, spread, seed):
    """A map of the photo's own coordinates tells what the middle of each 4 x 4 pixels of the crop shows."""
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width).expand(height, width)
    photo = torch.stack((rows, columns, columns)).to(torch.uint8)
    torch.manual_seed(seed)
    transform = TrainTransform(4 * crop, (low, low * spread), photometric=False)
    image, labels, padding, maps = transform.with_maps(photo, photo[1], torch.stack((rows, columns)).float())
    assert maps.shape == (2, crop, crop)
    # The four pixels around the middle of a cell, where none is padding.
    around = [(row, column) for row in (1, 2) for column in (1, 2)]
    inside = torch.stack([~padding[row::4, column::4] for row, column in around]).all(0)
    shown = torch.stack([image[:2, row::4, column::4].float() for row, column in around]).mean(0)
    tolerance = 1 + min(height, width) / (4 * crop * low)  # of rounded photos: a pixel of the coarser grid
    assert ((maps - shown).abs()[:, inside] <= tolerance).all()
    torch.manual_seed(seed)
    assert all(map(torch.equal, transform(photo, photo[1]), (image, labels, padding)))  # as without maps


def test_maps_by_hand():
    # A photo of 8 x 16 whose left half is cut out; its map has a quarter of its size, the column's number as value.
    photo = torch.zeros(3, 8, 16, dtype=torch.uint8)
    transform = TrainTransform(8, (1, 1), photometric=False, flip=False)
    transform._window = lambda height, width: ((0, 0, 8, 8), (8, 8))
    columns = torch.arange(4.0).expand(1, 2, 4)
    assert transform.with_maps(photo, photo[0], columns)[3].tolist() == [[[0, 1], [0, 1]]]
    transform._window = lambda height, width: ((0, 4, 8, 8), (8, 8))
    assert transform.with_maps(photo, photo[0], columns)[3].tolist() == [[[1, 2], [1, 2]]]
    transform._window = lambda height, width: ((0, 8, 4, 4), (8, 8))  # twice as large: half a column between cells
    assert transform.with_maps(photo, photo[0], columns)[3].tolist() == [[[1.75, 2.25], [1.75, 2.25]]]
    transform._window = lambda height, width: ((0, 8, 8, 8), (4, 4))  # half as large: one cell, and padding
    assert transform.with_maps(photo, photo[0], columns)[3][0, 0].tolist() == [2.5, 3.0]
    assert transform.with_maps(photo, photo[0], None)[3] is None


def test_maps_are_mirrored_with_the_photo(monkeypatch):
    photo = torch.zeros(3, 8, 16, dtype=torch.uint8)
    transform = TrainTransform(8, (1, 1), photometric=False)
    transform._window = lambda height, width: ((0, 4, 8, 8), (8, 8))
    columns = torch.arange(4.0).expand(1, 2, 4)
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.0))
    assert transform.with_maps(photo, photo[0], columns)[3].tolist() == [[[2, 1], [2, 1]]]


def test_without_flip_nothing_is_mirrored():
    torch.manual_seed(0)
    ramp = coordinates(32, 64, "x")
    transform = TrainTransform(16, flip=False, photometric=False)
    for _ in range(50):
        _, labels, padding = transform(ramp.expand(3, -1, -1), ramp)
        row = labels[0][~padding[0]].int()
        assert (row.diff() >= 0).all()


def test_randomness_is_torchs_and_inputs_stay_as_they_are():
    photo = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8)
    labels = photo[0] // 16
    before = photo.clone(), labels.clone()
    transform = TrainTransform(24)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(transform(photo, labels))
    assert all(torch.equal(first, second) for first, second in zip(results[0], results[1], strict=True))
    assert not torch.equal(results[0][0], results[2][0])
    assert torch.equal(photo, before[0]) and torch.equal(labels, before[1])


def test_color_jitter_changes_colors_but_never_swaps_channels():
    torch.manual_seed(0)
    grass = torch.tensor([60, 180, 40], dtype=torch.uint8)[:, None, None].expand(3, 8, 8).contiguous()
    grass[:, :4] //= 2
    results = [photometric_distortion(grass) for _ in range(200)]
    for result in results:
        assert result.dtype == torch.uint8 and result.shape == grass.shape
        red, green, blue = result.float().mean((1, 2)).tolist()
        assert green > red and green > blue
    unchanged = sum(torch.equal(result, grass) for result in results)
    assert 3 <= unchanged <= 30  # all four parts rest once in 16 times


@pytest.mark.parametrize("crop, scale", [(0, (0.5, 2)), (32, (0, 1)), (32, (2, 1)), (32, (-1, 1))])
def test_impossible_settings(crop, scale):
    with pytest.raises(ConfigError):
        TrainTransform(crop, scale)


@pytest.mark.parametrize("options, words", [({"scale_step": -0.1}, "not be negative"), ({"long_side": 0}, "1 pixel")])
def test_impossible_options(options, words):
    with pytest.raises(ConfigError, match=words):
        TrainTransform(32, **options)
