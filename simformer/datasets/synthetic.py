"""Drawn scenes with exact label maps: a data set for tests and for a first run without any data.

Ground and sky fill a scene; shapes lie on them. Every class has its own texture and range of colors, so a
small network learns them in minutes, while size, place, rotation, light and noise vary.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from simformer.datasets.textures import BACKGROUNDS, SHAPES, Array, Rng, cloud
from simformer.errors import ConfigError
from simformer.labels import VOID
from simformer.utils.files import atomic_write

SYNTHETIC_CLASSES = (*BACKGROUNDS, *SHAPES)


def write_scenes(
    root: str | Path,
    count: int,
    *,
    seed: int = 0,
    size: tuple[int, int] = (240, 320),
    val_share: float = 0.2,
    masks: bool = True,
) -> Path:
    """Write a folder data set (see FolderDataset) of drawn scenes.

    Args:
        root: folder to write; made if it is missing.
        count: number of scenes, at least 2.
        seed: the same seed, count and size give the same pixels.
        size: height and width in pixels, each at least 32.
        val_share: share of the scenes in val.txt, the others being in train.txt; both get at least one.
        masks: False writes image_labels.csv in place of label maps: a folder as it is before anything is masked.

    Returns:
        The folder.

    Raises:
        ConfigError: count, size or val_share out of range.
        SimFormerError: the folder cannot be written.
    """
    if count < 2 or min(size) < 32 or not 0 <= val_share <= 1:
        raise ConfigError(
            f"cannot draw {count} scenes of {size[0]} x {size[1]} pixels with a val share of {val_share}: "
            "at least 2 scenes of at least 32 x 32 pixels and a share between 0 and 1 are needed"
        )
    root = Path(root)
    try:
        for folder in (root / "images", root / "labels") if masks else (root / "images",):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {root} ({error.strerror})") from error
    names = [f"scene_{index:05d}" for index in range(count)]
    shown = ["photo,class"]
    for index, name in enumerate(names):
        photo, labels = draw_scene(np.random.default_rng([seed, index]), size)
        with atomic_write(root / "images" / f"{name}.jpg") as file:
            Image.fromarray(photo).save(file, format="JPEG", quality=92)
        if masks:
            with atomic_write(root / "labels" / f"{name}.png") as file:
                Image.fromarray(labels).save(file, format="PNG")
        shown += [f"{name},{SYNTHETIC_CLASSES[index]}" for index in np.unique(labels) if index != VOID]
    val = min(count - 1, max(1, round(count * val_share)))
    for file_name, lines in (
        ("classes.txt", SYNTHETIC_CLASSES),
        ("train.txt", names[:-val]),
        ("val.txt", names[-val:]),
        *((("image_labels.csv", shown),) if not masks else ()),
    ):
        with atomic_write(root / file_name, "w") as file:
            file.write("\n".join(lines) + "\n")
    return root


def draw_scene(rng: Rng, size: tuple[int, int]) -> tuple[Array, Array]:
    """Draw one scene.

    Returns:
        photo: uint8 RGB, H x W x 3.
        labels: uint8, H x W, indices into SYNTHETIC_CLASSES; 255 on the rims of shapes.
    """
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    below = str(rng.choice(["grass", "sand", "water"]))
    hills = 0.15 * (cloud(rng, (1, size[1]), 2) - 0.5)
    is_sky = rows < size[0] * (rng.uniform(0.25, 0.65) + hills)
    photo = np.where(is_sky[..., None], BACKGROUNDS["sky"](rng, size), BACKGROUNDS[below](rng, size))
    labels = np.where(is_sky, SYNTHETIC_CLASSES.index("sky"), SYNTHETIC_CLASSES.index(below)).astype(np.uint8)
    for name in rng.choice(list(SHAPES), size=rng.integers(2, 5), replace=False).tolist():
        outline, skin = SHAPES[name]
        radius = min(size) * rng.uniform(0.13, 0.28)
        center_y, center_x = (rng.uniform(0.12, 0.88, 2) * size).tolist()
        reach = 1.2 * radius + 12
        box = (
            slice(max(0, int(center_y - reach)), int(center_y + reach)),
            slice(max(0, int(center_x - reach)), int(center_x + reach)),
        )
        y, x = (rows[box] - center_y) / radius, (columns[box] - center_x) / radius
        angle = rng.uniform(-0.4, 0.4)
        u = x * math.cos(angle) + y * math.sin(angle)
        v = y * math.cos(angle) - x * math.sin(angle)
        distance = outline(u, v) * radius
        _lay(photo[box], skin(rng, u, v), distance)
        labels[box][distance < 0] = SYNTHETIC_CLASSES.index(name)
        labels[box][np.abs(distance) < 1] = VOID
    return _camera(rng, photo), labels


def _lay(photo: Array, skin: Array, distance: Array) -> None:
    """Lay a shape and its shadow on a part of the photo; `distance` to its outline in pixels, < 0 inside."""
    shadow = ndimage.shift(distance, (4, 4), order=0, mode="nearest")
    photo *= 1 - 0.4 * np.clip(0.5 - shadow / 10, 0, 1)[..., None]
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    bulge = 0.7 + 0.3 * np.clip(-distance / 8, 0, 1)[..., None]
    photo += cover * (skin * bulge - photo)


def _camera(rng: Rng, photo: Array) -> Array:
    """Uneven light, a slight blur and sensor noise; float 0..1 to uint8."""
    light = np.float32(rng.uniform(0.85, 1.1)) + 0.3 * (cloud(rng, photo.shape[:2], 2) - 0.5)
    photo = ndimage.gaussian_filter(photo * light[..., None], (0.6, 0.6, 0))
    photo += np.float32(rng.uniform(0.01, 0.04)) * rng.standard_normal(photo.shape, dtype=np.float32)
    return (np.clip(photo, 0, 1) * 255).round().astype(np.uint8)
