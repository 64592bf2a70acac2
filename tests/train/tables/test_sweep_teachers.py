"""Cells that learn from another model: when they wait, and when their results are taken over."""

from __future__ import annotations

from datetime import timedelta

from sweeping import PSEUDO, rows, run

from simformer.results import read_results, write_result
from train.tables.cells import read_table


def test_a_cell_waits_for_its_teacher(table, runs, tmp_path):
    star = {"name": "star", "splits": ["s2"], "teacher": "a", "settings": PSEUDO}
    path = table({"name": "a", "splits": ["s1", "s2"]}, star)
    runs.fails = {"a_s2"}
    result = run(path, "--jobs", "3")
    assert result.exit_code == 1 and runs.started == ["a_s1", "a_s2"]
    assert rows(result.output)["star_s2"] == "waiting for a_s2"
    runs.fails = set()
    assert run(path, "--jobs", "3").exit_code == 0
    assert runs.started[2:] == ["a_s2", "star_s2"]
    [star] = [cell for cell in read_table(path, [], tmp_path / "runs") if cell.name == "star_s2"]
    assert star.settings.teacher == str(tmp_path / "runs" / "table" / "a_s2" / "weights.safetensors")


def test_a_teacher_measured_elsewhere_is_trained_where_it_is_needed(table, runs, tmp_path):
    cells = [{"name": "a"}, {"name": "star", "teacher": "a", "settings": PSEUDO}]
    results = ["--results", str(tmp_path / "results")]
    assert run(table(cells[0]), *results).exit_code == 0
    elsewhere = ["--runs", str(tmp_path / "elsewhere")]
    assert run(table(*cells), *results, *elsewhere).exit_code == 0
    assert runs.started == ["a_s1", "a_s1", "star_s1"]
    # Both are known now, whatever the folder of the runs.
    assert run(table(*cells), *results, "--runs", str(tmp_path / "third")).exit_code == 0
    assert len(runs.started) == 3


def test_a_number_that_is_known_stays_when_its_weights_are_made_again(table, runs, tmp_path):
    cells = [{"name": "a"}, {"name": "star", "teacher": "a", "settings": PSEUDO}]
    results = tmp_path / "results"
    run(table(cells[0]), "--results", str(results))
    known = {path: path.read_bytes() for path in results.iterdir()}
    assert run(table(*cells), "--results", str(results), "--runs", str(tmp_path / "elsewhere")).exit_code == 0
    assert len(known) == 1 and all(path.read_bytes() == content for path, content in known.items())
    assert len(list(results.iterdir())) == 2


def test_weights_of_other_settings_teach_nobody(table, runs):
    teacher, star = {"name": "a"}, {"name": "star", "teacher": "a", "settings": PSEUDO}
    assert run(table(teacher, star)).exit_code == 0 and runs.started == ["a_s1", "star_s1"]
    runs.fails = {"a_s1"}  # as a run does that finds a state of other settings
    result = run(table(teacher, star, steps=3))
    assert result.exit_code == 1 and runs.started[2:] == ["a_s1"]
    assert rows(result.output)["star_s1"] == "waiting for a_s1"


def test_a_student_of_an_earlier_teacher_is_not_finished(table, runs):
    teacher, star = {"name": "a"}, {"name": "star", "teacher": "a", "settings": PSEUDO}
    run(table(teacher, star))
    run(table({**teacher, "settings": {"steps": 3}}, star))
    assert runs.started == ["a_s1", "star_s1"] * 2


def test_a_teacher_at_an_absolute_path_is_found_again(table, runs, tmp_path):
    settings = {"pairing": "none", "pseudo": "cam", "teacher": str(tmp_path / "cam" / "weights.safetensors")}
    path, results = table({"name": "wsss", "settings": settings}), ["--results", str(tmp_path / "results")]
    assert run(path, *results).exit_code == 0
    assert run(path, *results, "--runs", str(tmp_path / "elsewhere")).exit_code == 0 and runs.started == ["wsss_s1"]


def test_a_student_of_an_earlier_shipped_teacher_is_measured_again(table, runs, tmp_path):
    path, folder = table({"name": "wsss", "settings": {**PSEUDO, "teacher": "cam"}}), tmp_path / "results"
    assert run(path, "--results", str(folder)).exit_code == 0
    [student] = read_results(folder)
    shipped = student.model_copy(update={"method": "CAM", "weights": "cam.safetensors", "config": {}})
    for days, started in ((-1, 1), (1, 2)):
        write_result(shipped.model_copy(update={"date": student.date + timedelta(days=days)}), folder)
        run(path, "--results", str(folder), "--runs", str(tmp_path / "elsewhere"))
        assert len(runs.started) == started
