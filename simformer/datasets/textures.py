"""What synthetic scenes are made of: textures that fill the ground, and outlines with their own textures."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

Array = np.ndarray
Rng = np.random.Generator

# --- building blocks: float arrays, colors 0..1 -------------------------------------------------------------


def cloud(rng: Rng, size: tuple[int, int], cells: float, stretch: float = 1.0) -> Array:
    """Smooth noise 0..1, H x W: three octaves of random grids, the coarsest with about `cells` cells a side.

    `stretch` makes the cells that many times wider than high.
    """
    height, width = size
    total = np.zeros(size, np.float32)
    for octave in (1, 2, 4):
        grid = rng.random((round(cells * octave) + 2, round(cells * octave / stretch) + 2), dtype=np.float32)
        total += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)) / octave
    return (total - total.min()) / (np.ptp(total) + 1e-6)


def color(rng: Rng, red: float, green: float, blue: float, spread: float = 0.07) -> Array:
    """A color near the given one."""
    return np.clip(np.array([red, green, blue]) + rng.uniform(-spread, spread, 3), 0, 1).astype(np.float32)


def mix(share: Array, first: Array, second: Array) -> Array:
    """`first` where `share` (H x W) is 0, `second` where it is 1; H x W x 3."""
    return first + np.clip(share, 0, 1).astype(np.float32)[..., None] * (second - first)


def _soft(values: Array, sharpness: float = 6.0) -> Array:
    """0 below zero and 1 above, with a soft step."""
    return np.clip(0.5 + sharpness * values, 0, 1)


# --- backgrounds: (rng, size) -> H x W x 3 ------------------------------------------------------------------


def _sky(rng: Rng, size: tuple[int, int]) -> Array:
    down = np.linspace(0, 1, size[0], dtype=np.float32)[:, None].repeat(size[1], 1)
    air = mix(down, color(rng, 0.28, 0.52, 0.88), color(rng, 0.75, 0.87, 0.97))
    cover = _soft(cloud(rng, size, 4, stretch=1.6) - rng.uniform(0.45, 0.75), 3)
    return mix(cover * 0.85, air, color(rng, 0.96, 0.96, 0.97, 0.03))


def _grass(rng: Rng, size: tuple[int, int]) -> Array:
    patches = mix(cloud(rng, size, 5), color(rng, 0.16, 0.38, 0.08), color(rng, 0.45, 0.62, 0.16))
    blades = cloud(rng, size, size[0] / 9, stretch=0.3)
    return patches * (0.65 + 0.7 * blades[..., None])


def _sand(rng: Rng, size: tuple[int, int]) -> Array:
    rows = np.linspace(0, 1, size[0], dtype=np.float32)[:, None]
    ripples = 0.5 + 0.5 * np.sin(rows * np.float32(rng.uniform(70, 110)) + 9 * cloud(rng, size, 3, stretch=2))
    ground = mix(ripples, color(rng, 0.72, 0.57, 0.36), color(rng, 0.88, 0.76, 0.54))
    return ground * (0.9 + 0.2 * rng.random((*size, 1), dtype=np.float32))


def _water(rng: Rng, size: tuple[int, int]) -> Array:
    waves = cloud(rng, size, 24, stretch=5)
    deep = mix(waves, color(rng, 0.03, 0.16, 0.32), color(rng, 0.12, 0.42, 0.55))
    return mix(_soft(waves - 0.72, 5) * 0.7, deep, color(rng, 0.8, 0.92, 0.95, 0.04))


BACKGROUNDS = {"sky": _sky, "grass": _grass, "sand": _sand, "water": _water}


# --- outlines: (u, v) in units of the radius, v downwards -> signed distance, negative inside ---------------


def _disc(u: Array, v: Array) -> Array:
    return np.hypot(u, v) - 0.95


def _square(u: Array, v: Array) -> Array:
    return np.maximum(abs(u), abs(v)) - 0.8


def _triangle(u: Array, v: Array) -> Array:
    return np.maximum(v - 0.5, 0.866 * abs(u) - 0.5 * v - 0.5)


def _star(u: Array, v: Array) -> Array:
    radius, fifth = np.hypot(u, v), 2 * math.pi / 5
    angle = abs((np.arctan2(u, -v) + fifth / 2) % fifth - fifth / 2)
    tip, notch_x, notch_y = 1.05, 0.5 * math.cos(fifth / 2), 0.5 * math.sin(fifth / 2)
    length = math.hypot(tip - notch_x, notch_y)
    return (radius * ((tip - notch_x) * np.sin(angle) + notch_y * np.cos(angle)) - notch_y * tip) / length


def _ring(u: Array, v: Array) -> Array:
    return abs(np.hypot(u, v) - 0.7) - 0.28


def _cross(u: Array, v: Array) -> Array:
    return np.maximum(np.minimum(abs(u), abs(v)) - 0.3, np.maximum(abs(u), abs(v)) - 0.95)


def _flag(u: Array, v: Array) -> Array:
    return np.maximum(abs(u) - 1.0, abs(v + 0.1 * np.sin(3 * u)) - 0.62)


def _moon(u: Array, v: Array) -> Array:
    return np.maximum(np.hypot(u, v) - 1.0, 0.8 - np.hypot(u - 0.5, v))


# --- skins: (rng, u, v) -> H x W x 3 ------------------------------------------------------------------------


def _dots(rng: Rng, u: Array, v: Array) -> Array:
    cell = 0.42
    spot = np.hypot((u % cell) - cell / 2, (v % cell) - cell / 2)
    return mix(_soft(0.13 - spot, 20), color(rng, 0.85, 0.12, 0.12), color(rng, 0.98, 0.93, 0.85, 0.03))


def _bricks(rng: Rng, u: Array, v: Array) -> Array:
    row = np.floor(v / 0.25)
    joint = np.minimum((v % 0.25) / 0.25, ((u + 0.25 * (row % 2)) % 0.5) / 0.5)
    clay = mix(cloud(rng, u.shape, 14), color(rng, 0.5, 0.22, 0.14), color(rng, 0.68, 0.36, 0.22))
    return mix(_soft(0.14 - joint, 15), clay, color(rng, 0.8, 0.77, 0.72, 0.04))


def _zigzag(rng: Rng, u: Array, v: Array) -> Array:
    wave = v * 5 + abs((u * 2.5) % 2 - 1) * 1.3
    return mix(_soft(np.sin(wave * np.pi), 3), color(rng, 0.3, 0.12, 0.5), color(rng, 0.72, 0.5, 0.9))


def _speckles(rng: Rng, u: Array, v: Array) -> Array:
    grain = cloud(rng, u.shape, 16)
    return mix(_soft(grain - 0.62, 8), color(rng, 0.98, 0.8, 0.12), color(rng, 0.8, 0.45, 0.05))


def _spokes(rng: Rng, u: Array, v: Array) -> Array:
    blocks = np.sin(np.arctan2(v, u) * 8)
    return mix(_soft(blocks, 4), color(rng, 0.08, 0.08, 0.1, 0.04), color(rng, 0.85, 0.87, 0.86, 0.04))


def _brushed(rng: Rng, u: Array, v: Array) -> Array:
    scratches = cloud(rng, u.shape, 24, stretch=8)
    return mix(scratches, color(rng, 0.1, 0.5, 0.48), color(rng, 0.4, 0.85, 0.78))


def _stripes(rng: Rng, u: Array, v: Array) -> Array:
    return mix(_soft(np.sin(u * 14), 3), color(rng, 0.95, 0.95, 0.97, 0.03), color(rng, 0.12, 0.16, 0.6))


def _craters(rng: Rng, u: Array, v: Array) -> Array:
    return mix(cloud(rng, u.shape, 9), color(rng, 0.95, 0.55, 0.7), color(rng, 0.75, 0.25, 0.45))


SHAPES = {
    "disc": (_disc, _dots),
    "square": (_square, _bricks),
    "triangle": (_triangle, _zigzag),
    "star": (_star, _speckles),
    "ring": (_ring, _spokes),
    "cross": (_cross, _brushed),
    "flag": (_flag, _stripes),
    "moon": (_moon, _craters),
}
