"""Photos that installed packages carry: examples without a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

# Package, file inside it, name on the page. The photos' classes are among those the shipped models know.
PHOTOS = (
    ("skimage", "data/chelsea.png", "Cat"),
    ("sklearn", "datasets/images/china.jpg", "Temple"),
    ("sklearn", "datasets/images/flower.jpg", "Flower"),
    ("gradio", "media_assets/images/tower.jpg", "Tower"),
    ("gradio", "media_assets/images/cheetah.jpg", "Cheetah"),
    ("gradio", "media_assets/images/lion.jpg", "Lion"),
    ("skimage", "data/astronaut.png", "Astronaut"),
    ("skimage", "data/rocket.jpg", "Rocket"),
    ("skimage", "data/motorcycle_left.png", "Motorcycle"),
    ("skimage", "data/coffee.png", "Coffee"),
)


def example_photos() -> dict[str, Path]:
    """Name -> file of each example that is really there; packages are found without being imported."""
    found = {}
    for package, file, name in PHOTOS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / file
            if path.is_file():
                found[name] = path
    return found
