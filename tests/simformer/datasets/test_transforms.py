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
