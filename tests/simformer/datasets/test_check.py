from __future__ import annotations

import numpy as np
import pytest
from drawn_classes import CLASSES, write_three_classes
from PIL import Image

from simformer.datasets.check import FEW, FolderCheck


@pytest.fixture
def root(tmp_path):
    """Eight drawn scenes of three classes, three of them in val.txt."""
    return write_three_classes(tmp_path / "scenes", (32, 40))


def looked(root, **options):
    check = FolderCheck(root, **options)
    list(check.run())
    return check


def serious(check):
    return [mistake for mistake in check.mistakes if mistake.serious]


def test_counts(root):
    check = FolderCheck(root)
    assert list(check.run()) == list(range(1, 9))
    assert (check.lists, check.label_maps, check.finished) == ({"train.txt": 5, "val.txt": 3}, 8, True)
    maps = {path.stem: np.asarray(Image.open(path)) for path in (root / "labels").iterdir()}
    for row, file in enumerate(check.lists):
        for label in range(3):
            listed = (root / file).read_text().split()
            assert check.shown[row, label] == sum((maps[name] == label).any() for name in listed)
    assert check.pixels.tolist() == [sum((labels == label).sum() for labels in maps.values()) for label in range(3)]
    assert check.void == sum((labels == 255).sum() for labels in maps.values())
    both = sum((labels == 0).any() and (labels == 2).any() for labels in maps.values())
    assert check.together[0, 2] == check.together[2, 0] == both
    assert np.diag(check.together).tolist() == check.shown.sum(axis=0).tolist()
    assert serious(check) == []
    assert check.answer()["classes"][0] == {
        "name": "sky", "photos": {"train.txt": check.shown[0, 0], "val.txt": check.shown[1, 0]},
        "pixels": check.pixels[0],
    }  # fmt: skip


def test_two_who_look_share_the_work(root):
    check = FolderCheck(root)
    first, second = check.run(), check.run()
    assert [next(first), next(second), next(first)] == [1, 2, 3]
    assert len(list(second)) == 5 and list(first) == []
    assert check.label_maps == 8


def test_every_mistake_is_named_with_a_way_to_mend_it(root):
    (root / "images" / "scene_00000.jpg").write_bytes(b"broken")
    Image.fromarray(np.full((32, 40), 7, np.uint8)).save(root / "labels" / "scene_00001.png")
    Image.new("L", (9, 9)).save(root / "labels" / "scene_00002.png")
    Image.fromarray(np.full((32, 40), 255, np.uint8)).save(root / "labels" / "scene_00003.png")
    (root / "labels" / "scene_00004.png").unlink()
    Image.new("L", (9, 9)).save(root / "labels" / "alone.png")
    (root / "train.txt").write_text(
        "\n".join([f"scene_{i:05d}" for i in range(6)] + ["scene_00003.jpg", "scene_00005"])
    )
    (root / "val.txt").write_text("scene_00005\n")
    found = {mistake.what: mistake for mistake in looked(root).mistakes}
    for what, file in {
        "Photos that cannot be read: 1.": "scene_00000",
        "Label maps that cannot be used: 1.": "holds the value 7, but there are 3 classes",
        "Photos whose label map has another size: 1.": "9 x 9 pixels",
        "Photos that are void everywhere: 1.": "scene_00003",
        "Photos with neither a label map nor a class in image_labels.csv: 1.": "scene_00004",
        "Label maps without a photo of their name in images: 1.": "alone",
        "Photos in train.txt that are not in images: 1.": "scene_00003.jpg",
        "Photos that stand in train.txt more than once: 1.": "scene_00005",
        "Photos both in train.txt and in val.txt, so that what is measured would be too good: 1.": "scene_00005",
        "Photos in images that stand in no list: 2.": "scene_00006",
    }.items():
        assert file in found[what].files[0] and found[what].mend
        assert str(root) not in found[what].files[0]
    assert [mistake.serious for mistake in found.values()] == sorted((m.serious for m in found.values()), reverse=True)
    assert "without extension" in found["Photos in train.txt that are not in images: 1."].mend


@pytest.mark.parametrize("broken, sentence", [
    (lambda root: (root / "classes.txt").unlink(), "There is no file"),
    (lambda root: (root / "classes.txt").write_text("sky\nsky\n"), "names a class twice"),
    (lambda root: (root / "images").rename(root / "pictures"), "There is no folder"),
    (lambda root: [path.unlink() for path in (root / "images").iterdir()], "There is no photo in"),
    (lambda root: (root / "image_labels.csv").write_text("photo,class\nscene_00000,dog\n"), "has no class 'dog'"),
])  # fmt: skip
def test_what_is_wrong_with_the_folder(root, broken, sentence):
    broken(root)
    mistakes = serious(looked(root))
    assert sentence in mistakes[0].what and mistakes[0].mend


def test_image_level_labels_count(root):
    (root / "labels" / "scene_00000.png").unlink()
    (root / "image_labels.csv").write_text("photo,class\nscene_00000,cat\nscene_00000,sky\n")
    check = looked(root)
    assert check.label_maps == 7 and serious(check) == []
    assert check.shown.sum() == looked(root, lists=("train.txt", "val.txt")).shown.sum()
    assert check.together[0, 2] >= 1


def test_without_lists_all_photos_count(root):
    for file in ("train.txt", "val.txt"):
        (root / file).unlink()
    check = looked(root)
    assert check.lists == {"images": 8}
    assert "There is no train.txt." in [mistake.what for mistake in check.mistakes]


def test_rare_classes_are_noted(root):
    (root / "classes.txt").write_text("\n".join((*CLASSES, "unicorn")))
    notes = {mistake.what: mistake for mistake in looked(root).mistakes}
    assert notes["No photo shows unicorn."].files == ("unicorn",)
    [few] = [what for what in notes if what.startswith("In val.txt")]
    assert f"fewer than {FEW} photos" in few and "unicorn" not in "".join(notes[few].files)
