"""The proposals: the queries that count most, their classes, masks and products."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from simformer.segmentation import Queries
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.proposals import WAITING, proposals, proposals_html, strongest

# Three queries of two classes on 1 x 4 pixels.
QUERIES = Queries(
    class_scores=np.array([[0.9, 0.05], [0.2, 0.7], [0.05, 0.95]], dtype=np.float32),
    masks=np.array([[[0.1, 0, 0, 0]], [[1, 1, 0.5, 0.1]], [[0, 0, 0, 0.8]]], dtype=np.float32),
)


def images(html: str) -> list[np.ndarray]:
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_the_strongest_come_first():
    first, second, third = strongest(QUERIES)
    assert [each.number for each in (first, second, third)] == [1, 2, 0]
    assert np.isclose(first.strength, 0.7 * 2.6 / 4) and first.area == 0.75
    assert first.classes == (1, 0) and np.allclose(first.scores, (0.7, 0.2))
    assert len(strongest(QUERIES, 2)) == 2


def test_pictures_are_the_mask_and_the_product(models, photo_file):
    html = proposals_html(models.shown(Photo(photo_file)), strongest(QUERIES, 1), ("sky", "<cat>"))
    mask, product = images(html)
    assert mask[0, :, 3].tolist() == [255, 255, 255, 0]
    assert product[0, :, 3].tolist() == [255, 255, 128, 26]  # relative to the strongest, which is opaque
    _, _, _, weak, _, none = images(proposals_html(models.shown(Photo(photo_file)), strongest(QUERIES), ("a", "b")))
    assert weak[0, :, 3].tolist() == [0, 0, 0, 255] and none[0, 0, 3] == round(255 * 0.09 / 0.76)
    assert "Query 1" in html and "&lt;cat&gt;" in html and "0.70" in html


def test_of_the_chosen_simformer(models, photo_file):
    assert proposals(models, None, "split1", True).count(WAITING) == 1
    assert proposals(models, str(photo_file), "split1", False) == ""
    html = proposals(models, str(photo_file), "split1", True)
    queries = models.segment("split1", Photo(photo_file)).queries
    shown = min(8, len(queries.class_scores))
    assert html.count("<strong>Query ") == shown and len(images(html)) == 2 * shown
    composed = proposals(models, str(photo_file), "roles-nbn", True)
    assert "put together from several models" in composed and "<strong>Query " in composed


def test_without_queries_there_is_a_sentence(models, page_weights, tmp_path, monkeypatch, photo_file):
    (tmp_path / "split1.safetensors").write_bytes((page_weights / "split1.safetensors").read_bytes())
    (tmp_path / "mine.safetensors").write_bytes((page_weights / "cam.safetensors").read_bytes())
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    own = Models(["mine"])
    assert "shows no queries" in proposals(own, str(photo_file), "mine", True)
    alone = Models(["split1"])
    assert "no model had any class" in proposals(alone, str(photo_file), "roles-nnb", True)
    assert "<strong>Query " in proposals(alone, str(photo_file), "roles-bnb", True)


def test_a_broken_photo_is_one_sentence(models, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"nothing")
    assert "not an image of a known format" in proposals(models, str(path), "split1", True)
