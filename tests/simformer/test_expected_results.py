from __future__ import annotations

import json

import pytest

from simformer.errors import ConfigError
from simformer.expected_results import FILE, METRICS, ExpectedResult, read_expected, record_expected
from simformer.paths import WEIGHTS
from simformer.weights import read_card


def test_a_record_is_read_again_and_stands_beside_the_others(tmp_path):
    assert read_expected(tmp_path) == {}
    record_expected(tmp_path, "s1", {"miou": 50.004, "base": 60.0, "novel": None, "images": 7})
    record_expected(tmp_path, "cam", {"miou": 20.0}, tolerance=1)
    record_expected(tmp_path, "s1", {"miou": 51.0})
    assert read_expected(tmp_path) == {"s1": [("miou", 51.0, 0.2)], "cam": [("miou", 20.0, 1.0)]}


def test_tolerance():
    one = ExpectedResult("miou", 50.0, 0.2)
    assert one.holds(50.19) and one.holds(49.81) and not one.holds(50.3) and not one.holds(49.7) and not one.holds(None)


@pytest.mark.parametrize("content", ["[]", '{"s1": [["miou", "high", 1]]}', "{"])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ConfigError, match=FILE):
        read_expected(tmp_path)


def test_every_shipped_model_has_an_entry_that_is_its_cards():
    folders = {path.parent for path in WEIGHTS.glob("*/*.safetensors")}
    assert folders
    for folder in folders:
        expected = read_expected(folder)
        assert expected.keys() == {path.stem for path in folder.glob("*.safetensors")}
        for name, rows in expected.items():
            metrics = read_card(folder / f"{name}.safetensors").metrics
            found = {row.metric: row.value for row in rows}
            assert found == {key: round(metrics[key], 2) for key in METRICS if metrics[key] is not None}
        # One model a line: what a new one changes is seen at a glance.
        assert len((folder / FILE).read_text().splitlines()) == len(json.loads((folder / FILE).read_text())) + 2
