from __future__ import annotations

import pytest

from simformer.inference.familiarity import FILE, Familiarity, familiarity
from simformer.ui import api
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.stranger import notice, probably_unknown
from simformer.ui.segment.views import segment_photo


@pytest.fixture
def with_threshold(page_weights, tmp_path, monkeypatch):
    """with_threshold(value) -> the page's models, and a familiarity.json that was fitted for the oracle beside them."""

    def make(threshold: float) -> Models:
        for file in page_weights.iterdir():
            (tmp_path / file.name).symlink_to(file)
        told = {"auroc": 0.9, "false_alarms": 0.1, "found": 0.8}
        fitted = Familiarity(
            threshold=threshold, alarms=0.05, held_out=10, fitted_with="s1", known=5, unknown=6,
            models={"oracle": told},
            command="", commit="", date="",
        )  # fmt: skip
        (tmp_path / FILE).write_text(fitted.model_dump_json())
        monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
        return Models()

    return make


def test_without_a_fit_nothing_is_said(models, photo_file):
    found = {"oracle": models.segment("oracle", Photo(str(photo_file)))}
    assert models.familiarity is None and notice(models, found) == ""
    assert api.answer_photo(models, str(photo_file), "oracle", 0.0)[0]["probably_unknown"] is None


@pytest.mark.parametrize("off, unknown", [(0.001, True), (-0.001, False)])
def test_below_the_threshold_a_photo_is_unknown(models, with_threshold, photo_file, off, unknown):
    threshold = familiarity(models.segment("oracle", Photo(str(photo_file)))) + off
    models = with_threshold(threshold)
    found = {name: models.segment(name, Photo(str(photo_file))) for name in ("cam", "oracle")}
    assert probably_unknown(models, found) == ("oracle" if unknown else None)
    assert probably_unknown(models, {"cam": found["cam"]}) is None
    *_, (views, _, _) = segment_photo(models, str(photo_file), "split1", 0.0)
    assert ("Probably none of the known classes: FullyOracle" in views) == unknown
    assert ("unknown, nearest" in views) == unknown
    assert api.answer_photo(models, str(photo_file), "oracle", 0.0)[0]["probably_unknown"] is unknown
    assert api.answer_photo(models, str(photo_file), "split1", 0.0)[0]["probably_unknown"] is None


def test_the_endpoint_says_that_cam_has_image_labels_alone(models, photo_file):
    for model, role in (("cam", "novel"), ("oracle", "base")):
        answer, _ = api.answer_photo(models, str(photo_file), model, 0.0)
        assert set(answer["roles"]) == {row["role"] for row in answer["table"]} == {role}
