from __future__ import annotations

import json

from simformer.datasets.synthetic import SYNTHETIC_CLASSES
from simformer.trainings.own import own_table
from train.tables import rotation
from train.tables.cells import read_table


def test_the_table_trains_what_it_says(scenes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rotation, "timed", lambda config: (0, 3.6) if config.method == "cam" else (900, 7.2))
    rotation.main(scenes, tmp_path / "table.json", 3, True)
    said = capsys.readouterr().out
    cells = read_table(tmp_path / "table.json", [], tmp_path)
    novel = [cell.settings.novel for cell in cells if cell.settings.novel]
    assert sorted(name for names in novel for name in names) == sorted(SYNTHETIC_CLASSES) and len(novel) == 3
    assert [cell.settings.has_novel for cell in cells] == [True] * 3 + [False] * 2
    assert [cell.settings.method for cell in cells] == ["simformer"] * 4 + ["cam"]
    assert {cell.settings.schedule for cell in cells} == {"own"} and {cell.settings.dataset for cell in cells} == {
        "custom"
    }
    # 4 times a quarter of an hour and 1,500 steps of 7.2 s; 500 steps of 3.6 s.
    assert "5 trainings, 6,500 steps: about 13.5 hours on this machine" in said


def test_the_page_and_the_sweep_call_the_trainings_alike(scenes, tmp_path):
    table, trainings = own_table(scenes, SYNTHETIC_CLASSES, [["sky"], ["star", "ring"]])
    (tmp_path / "table.json").write_text(json.dumps(table))
    cells = read_table(tmp_path / "table.json", [], tmp_path / "runs")
    assert [cell.name for cell in cells] == [one.name for one in trainings]
    assert {cell.out for cell in cells} == {tmp_path / "runs" / "table" / one.name for one in trainings}


def test_a_step_is_timed(settings):
    assert all(0 < seconds < 60 for seconds in rotation.timed(settings(steps=9)))
