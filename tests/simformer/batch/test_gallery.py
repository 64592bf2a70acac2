from __future__ import annotations

import numpy as np
import pytest
from color_vision import VISION, seen_as_lab
from PIL import Image
from scipy.spatial.distance import pdist

from simformer.batch.gallery import (
    DIFFERENCE_COLORS,
    Evaluation,
    arrange,
    difference,
    difference_image,
    evaluate_photos,
    photo_classes,
    resize_labels,
    score_photo,
    to_score,
)
from simformer.datasets.folder import FolderDataset
from simformer.datasets.synthetic import write_scenes
from simformer.errors import DatasetError
from simformer.evaluation import evaluate

VOID = 255


def segment(image):
    """A wrong but definite model: class by brightness, some pixels unsure."""
    gray = image.float().mean(0).numpy()
    labels = (gray // 32).astype(np.uint8)
    labels[gray > 240] = VOID
    return labels


@pytest.fixture
def scenes(tmp_path):
    write_scenes(tmp_path / "scenes", 6, size=(48, 64))
    return FolderDataset(tmp_path / "scenes", None)


def maps(*rows):
    return np.array(rows, dtype=np.uint8)


def test_score_of_one_photo_by_hand():
    truth = maps([0, 0, 0, 1], [1, 1, 1, VOID])
    prediction = maps([0, 0, 2, 1], [1, VOID, 1, 2])
    score = Evaluation(3).add(0, prediction, truth)
    assert score.accuracy == pytest.approx(100 * 5 / 7)
    assert score.ious == {0: pytest.approx(100 * 2 / 3), 1: pytest.approx(75), 2: 0}
    assert score.miou == pytest.approx((100 * 2 / 3 + 75) / 2)


def test_confusion_of_one_photo_by_hand():
    score = Evaluation(3).add(0, maps([0, 0, 2, 1], [1, VOID, 1, 2]), maps([0, 0, 0, 1], [1, 1, 1, VOID]))
    assert score.confusion == {(0, 0): 2, (0, 2): 1, (1, 1): 3, (1, 3): 1}


def test_photos_behind_a_confusion(scenes):
    evaluation = Evaluation(len(scenes.classes))
    list(evaluate_photos(scenes, segment, evaluation))
    for pair in zip(*np.nonzero(evaluation.matrix.counts), strict=True):
        found = arrange(scenes, evaluation, "best", pair=tuple(map(int, pair)))
        pixels = [evaluation.photos[index].confusion[pair] for index in found]
        assert pixels == sorted(pixels, reverse=True) and sum(pixels) == evaluation.matrix.counts[pair]
    unseen = tuple(map(int, np.argwhere(evaluation.matrix.counts == 0)[0]))
    assert arrange(scenes, evaluation, pair=unseen) == []


def test_nothing_but_void_has_no_score():
    score = Evaluation(2).add(0, maps([0, 1]), maps([VOID, VOID]))
    assert (score.miou, score.accuracy, score.ious) == (None, None, {0: 0, 1: 0})


def test_a_photo_is_counted_once():
    evaluation = Evaluation(2)
    first = evaluation.add(0, maps([0, 1]), maps([0, 1]))
    assert evaluation.add(0, maps([1, 0]), maps([0, 1])) is first
    assert evaluation.scores().miou == 100
    assert (evaluation.matrix.images, evaluation.accuracy) == (1, 100)


def test_the_whole_set_scores_as_the_evaluate_command_does(scenes):
    evaluation = Evaluation(len(scenes.classes))
    seen = [index for index, _ in evaluate_photos(scenes, segment, evaluation)]
    assert seen == list(range(6))
    assert evaluation.scores((1, 2)) == evaluate(segment, scenes, (1, 2))[0]
    assert to_score(scenes, evaluation) == []


def test_it_stops_and_goes_on(scenes):
    evaluation = Evaluation(len(scenes.classes))
    run = evaluate_photos(scenes, segment, evaluation)
    next(run)
    next(run)
    run.close()
    assert evaluation.scores().images == 2
    assert [index for index, _ in evaluate_photos(scenes, segment, evaluation)] == [2, 3, 4, 5]
    assert evaluation.scores() == evaluate(segment, scenes)[0]


def test_a_bad_photo_is_noted_and_passed_over(scenes):
    (scenes.root / "images" / f"{scenes.names[1]}.jpg").write_bytes(b"broken")
    Image.new("L", (5, 5)).save(scenes.root / "labels" / f"{scenes.names[3]}.png")
    evaluation = Evaluation(len(scenes.classes))
    found = dict(evaluate_photos(scenes, segment, evaluation))
    assert [index for index, labels in found.items() if labels is None] == [1, 3]
    assert set(evaluation.problems) == {1, 3}
    assert scenes.names[1] in evaluation.problems[1] and "5 x 5" in evaluation.problems[3]
    assert evaluation.scores().images == 4
    assert arrange(scenes, evaluation, "worst")[-2:] == [1, 3]


def test_a_photo_without_a_label_map_is_only_segmented(scenes):
    (scenes.root / "labels" / f"{scenes.names[0]}.png").unlink()
    (scenes.root / "image_labels.csv").write_text(f"photo,class\n{scenes.names[0]},sky\n")
    dataset = FolderDataset(scenes.root, None)
    evaluation = Evaluation(len(dataset.classes))
    assert to_score(dataset, evaluation) == [1, 2, 3, 4, 5]
    assert score_photo(dataset, 0, segment, evaluation).shape == (48, 64)
    assert evaluation.photos == {}
    assert photo_classes(dataset, evaluation, 0) == {dataset.classes.index("sky")}


def test_another_number_of_classes_is_an_error():
    with pytest.raises(DatasetError, match="the prediction holds the value 2"):
        Evaluation(2).add(0, maps([2]), maps([0]))


@pytest.fixture
def drawn(tmp_path):
    """Four photos, truths 0 | 1 by halves (the last: class 2), with predictions ever worse, the third unscored."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    truths = [maps([0, 1, 1, 1])] * 3 + [maps([2, 2, 2, 2])]
    for name, truth in zip("defg", truths, strict=True):
        Image.new("RGB", (4, 1)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(truth).save(tmp_path / "labels" / f"{name}.png")
    dataset = FolderDataset(tmp_path, None)
    evaluation = Evaluation(3)
    evaluation.add(0, maps([0, 1, 1, 1]), truths[0])  # all right
    evaluation.add(1, maps([1, 1, 1, 1]), truths[1])  # a missed: IoU 0 and 3/4, three of four right
    evaluation.add(3, maps([2, 2, 0, 0]), truths[3])  # IoU 1/2, two of four right
    return dataset, evaluation


def test_orders(drawn):
    assert arrange(*drawn) == [0, 1, 2, 3]
    assert arrange(*drawn, "worst") == [1, 3, 0, 2]
    assert arrange(*drawn, "least accurate") == [3, 1, 0, 2]
    assert arrange(*drawn, "best") == [0, 3, 1, 2]


def test_filter_by_class_in_truth_or_prediction(drawn):
    assert arrange(*drawn, class_index=0) == [0, 1, 2, 3]  # photo 3 has it in its prediction only
    assert arrange(*drawn, class_index=1) == [0, 1, 2]
    assert arrange(*drawn, class_index=2) == [3]
    # With a class, worst means that class: a has IoU 1, 0, -, 0; b has 1, 3/4, -.
    assert arrange(*drawn, "worst", 0) == [1, 3, 0, 2]
    assert arrange(*drawn, "worst", 1) == [1, 0, 2]


def test_a_label_map_that_cannot_be_read_does_not_end_the_filter(drawn):
    dataset, evaluation = drawn
    (dataset.root / "labels" / "f.png").write_bytes(b"broken")
    assert arrange(dataset, evaluation, class_index=0) == [0, 1, 3]


def test_difference_map():
    prediction, truth = maps([0, 1, VOID, 0]), maps([0, 0, 0, VOID])
    assert difference(prediction, truth).tolist() == [[0, 1, 1, VOID]]
    picture = np.asarray(difference_image(prediction, truth).convert("RGB"))
    assert [tuple(pixel) for pixel in picture[0].tolist()] == [DIFFERENCE_COLORS[value] for value in (0, 1, 1, VOID)]


@pytest.mark.parametrize("vision", VISION)
def test_difference_colors_are_told_apart(vision):
    assert pdist(seen_as_lab(np.array(list(DIFFERENCE_COLORS.values())), vision)).min() > 40


def test_resize_labels_takes_whole_labels():
    labels = maps([0, 0, 9, 9], [0, 0, 9, 9], [VOID, VOID, 3, 3], [VOID, VOID, 3, 3])
    assert resize_labels(labels, (2, 2)).tolist() == [[0, 9], [VOID, 3]]
    assert resize_labels(labels, (4, 4)).tolist() == labels.tolist()
