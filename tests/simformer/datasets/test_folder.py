"""The folder layout: what it reads, and the sentence for everything wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError

LABELS = np.array([[0, 0, 2], [255, 3, 2]], np.uint8)


def test_photos_and_label_maps(dataset_root):
    root = dataset_root({"a": LABELS, "b": LABELS.T})
    data = FolderDataset(root)
    assert (data.classes, data.names, len(data)) == (("sky", "grass", "cat", "dog"), ["a", "b"], 2)
    image, labels = data.sample(1)
    assert image.shape == (3, 3, 2) and image.dtype == torch.uint8
    assert (image.permute(1, 2, 0).numpy() == np.asarray(Image.open(root / "images" / "b.png"))).all()
    assert labels.dtype == torch.uint8 and (labels.numpy() == LABELS.T).all()
    assert data.image_labels(0) == (0, 2, 3)
    data.check()


def test_cache_holds_the_same(dataset_root):
    root = dataset_root({"a": LABELS, "b": None}, [("b", "dog")])
    plain, cached = FolderDataset(root), FolderDataset(root, cache=True)
    (root / "images" / "a.png").unlink()
    assert (cached.image(0).shape, cached.label_map(1)) == ((3, 2, 3), None)
    assert torch.equal(cached.label_map(0), plain.label_map(0))
    assert torch.equal(cached.image(1), plain.image(1))
    with pytest.raises(DatasetError, match=r"there is no file .*a\.png"):
        plain.image(0)


def test_lists(dataset_root):
    root = dataset_root({"b": LABELS, "a": LABELS, "c": LABELS})
    (root / "val.txt").write_text("\ufeffc\r\n\r\n a \r\n", encoding="utf-8")
    assert FolderDataset(root, "val.txt").names == ["c", "a"]
    assert FolderDataset(root, None).names == ["a", "b", "c"]


def test_jpeg_photos_and_palette_label_maps(dataset_root):
    root = dataset_root({"a.b": LABELS})
    (root / "images" / "a.b.png").unlink()
    Image.new("L", (3, 2), 90).save(root / "images" / "a.b.JPG")
    palette = Image.fromarray(LABELS)
    palette.putpalette(np.random.default_rng(0).permutation(768).astype(np.uint8).tobytes())
    assert palette.mode == "P"
    palette.save(root / "labels" / "a.b.png")
    data = FolderDataset(root)
    assert data.image(0).unique().tolist() == [90]
    assert (data.label_map(0).numpy() == LABELS).all()


def test_photos_with_image_level_labels_only(dataset_root):
    rows = [("b", "dog"), ("b.png", "cat"), ("a", "grass")]
    data = FolderDataset(dataset_root({"a": LABELS, "b": None}, rows))
    assert data.label_map(1) is None
    assert (data.has_label_map(0), data.has_label_map(1)) == (True, False)
    assert data.image_labels(0) == (0, 1, 2, 3)
    assert data.all_image_labels() == [(0, 1, 2, 3), (2, 3)]
    data.check()


def test_csv_of_a_spreadsheet(dataset_root):
    root = dataset_root({"a": LABELS, "b": None})
    text = '\ufeffphoto, class, by\r\n"b", "grass", me\r\n'
    (root / "image_labels.csv").write_text(text, encoding="utf-8", newline="")
    assert FolderDataset(root).image_labels(1) == (1,)


# --- everything wrong ---------------------------------------------------------------------------------------


def spoil(root, what: str) -> None:
    """One way to break the data set {a, b}."""
    photo, labels = root / "images" / "b.png", root / "labels" / "b.png"
    csv = root / "image_labels.csv"
    match what:
        case "photo missing":
            photo.unlink()
        case "label map missing":
            labels.unlink()
        case "photo damaged":
            photo.write_bytes(photo.read_bytes()[:60])
        case "label map damaged":
            labels.write_bytes(labels.read_bytes()[:50])
        case "label map no PNG":
            labels.write_text("hello")
        case "label map of another size":
            Image.fromarray(LABELS.T).save(labels)
        case "label out of range":
            Image.fromarray(np.where(LABELS == 3, 4, LABELS).astype(np.uint8)).save(labels)
        case "label map in colors":
            Image.new("RGB", (3, 2)).save(labels)
        case "label map of 16 bits":
            Image.fromarray(LABELS.astype(np.uint16)).save(labels)
        case "unknown class in the CSV":
            csv.write_text("photo,class\na,dog\nb,horse\n")
        case "unknown photo in the CSV":
            csv.write_text("photo,class\nzebra7,dog\n")
        case "CSV without header":
            csv.write_text("b,dog\n")
        case "CSV row too short":
            csv.write_text("photo,class\nb\n")
        case "classes.txt with a gap":
            (root / "classes.txt").write_text("sky\n\ncat\n\n")
        case "classes.txt missing":
            (root / "classes.txt").unlink()
        case "classes.txt empty":
            (root / "classes.txt").write_text("\n")
        case "class named twice":
            (root / "classes.txt").write_text("sky\ncat\ndog\nsky\n")
        case "classes.txt no text":
            (root / "classes.txt").write_bytes(b"\xff\xfe\x00s")
        case "too many classes":
            (root / "classes.txt").write_text("\n".join(f"c{i}" for i in range(256)))
        case "train.txt missing":
            (root / "train.txt").unlink()
        case "train.txt empty":
            (root / "train.txt").write_text("")
        case "photo listed twice":
            (root / "train.txt").write_text("a\nb\na\n")
        case "photo listed with extension":
            (root / "train.txt").write_text("a.png\n")
        case "two photos of one name":
            Image.new("RGB", (3, 2)).save(root / "images" / "b.jpg")
        case _:
            raise AssertionError(what)


@pytest.mark.parametrize("what, sentence", [
    ("photo missing", r"train\.txt names 'b', which is not in .*images"),
    ("label map missing", r"images/b\.png has neither a label map .*labels/b\.png nor a class in .*\.csv"),
    ("photo damaged", r"images/b\.png is damaged or cut short"),
    ("label map damaged", r"labels/b\.png cannot be read as a PNG label map"),
    ("label map no PNG", r"labels/b\.png cannot be read as a PNG label map"),
    ("label map of another size", r"labels/b\.png is 2 x 3 pixels, but .*images/b\.png is 3 x 2"),
    ("label out of range", r"labels/b\.png holds the value 4, but there are 4 classes \(0 to 3, 255"),
    ("label map in colors", r"labels/b\.png is of mode RGB"),
    ("label map of 16 bits", r"labels/b\.png is of mode I;16"),
    ("unknown class in the CSV", r"image_labels\.csv, line 3: classes\.txt has no class 'horse'"),
    ("unknown photo in the CSV", r"image_labels\.csv, line 2: there is no photo 'zebra7' in images"),
    ("CSV without header", r"image_labels\.csv must begin with the line photo,class"),
    ("CSV row too short", r"image_labels\.csv, line 2: .* no class ''"),
    ("classes.txt with a gap", r"classes\.txt, line 2: no class"),
    ("classes.txt missing", r"there is no file .*classes\.txt"),
    ("classes.txt empty", r"classes\.txt names 0 classes; between 1 and 255"),
    ("class named twice", r"classes\.txt names a class twice: 'sky'"),
    ("classes.txt no text", r"classes\.txt cannot be read as UTF-8"),
    ("too many classes", r"classes\.txt names 256 classes"),
    ("train.txt missing", r"there is no file .*train\.txt"),
    ("train.txt empty", r"train\.txt names no photo"),
    ("photo listed twice", r"train\.txt names a photo twice: 'a'"),
    ("photo listed with extension", r"train\.txt names 'a\.png', .*; write names without extension"),
    ("two photos of one name", r"b\.jpg and .*b\.png are two photos of one name"),
])  # fmt: skip
def test_one_sentence_that_names_the_file(dataset_root, what, sentence):
    root = dataset_root({"a": LABELS, "b": LABELS})
    FolderDataset(root).check()
    spoil(root, what)
    with pytest.raises(DatasetError, match=sentence):
        FolderDataset(root).check()


def test_missing_folders(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no data set folder .*nowhere"):
        FolderDataset(tmp_path / "nowhere")
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(DatasetError, match=r"there is no folder .*images"):
        FolderDataset(tmp_path)
