"""The process in the background, with a script that takes the place of the trainings: it writes what they write."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from simformer.errors import ConfigError
from simformer.trainings import background
from simformer.trainings.background import Trainer, read_steps
from simformer.ui.costs.measuring import progress_html

CLASSES = ("sky", "grass", "cat")
SCRIPT = """
import json, pathlib, signal, sys, time
table, runs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3]) / "table"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
for cell in json.loads(table.read_text())["cells"]:
    folder = runs / (cell["name"] + "_" + cell["splits"][0])
    if (folder / "result.json").exists():
        continue
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_text("\\r 1%| | 1/100 [00:01<01:39, 1step/s]\\r 40%| | 40/100 [00:40<01:00, 1step/s]")
    while not (runs.parent / "finish").exists():
        time.sleep(0.02)
    (folder / "result.json").write_text("{}")
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMFORMER_RUNS", str(tmp_path / "runs"))
    script = tmp_path / "sweep.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(background, "SWEEP", (sys.executable, str(script)))
    trainer = Trainer(tmp_path / "data")
    yield trainer
    trainer.stop()


def until(what):
    latest = time.monotonic() + 60
    while not what():
        assert time.monotonic() < latest
        time.sleep(0.02)


def finish(trainer):
    (trainer.runs.folder / "runs").mkdir(exist_ok=True)
    (trainer.runs.folder / "runs" / "finish").touch()


def test_from_nothing_to_done_with_a_stop_and_a_new_start_of_the_page_between(trainer, tmp_path):
    assert trainer.progress().state == "none"
    with pytest.raises(ConfigError, match="no training to go on with"):
        trainer.resume()
    trainer.start(CLASSES, [["cat"]])
    until(lambda: trainer.progress().step)
    found = trainer.progress()
    assert (found.state, found.done, found.step, found.steps, found.seconds_left) == ("running", 0, 40, 100, 60.0)
    assert found.current == "SimFormer+, image labels for cat" and found.of_all == 60 + 2 * 100
    assert "step 40 of 100" in progress_html(found) and "about 60 s left" in progress_html(found)
    # One at a time, whatever the folder.
    with pytest.raises(ConfigError, match="a training on data is going on"):
        Trainer(tmp_path / "elsewhere").start(CLASSES, [["sky"]])
    assert Trainer(tmp_path / "elsewhere").progress().state == "none"

    # A page that was started again, after one that ended without stopping it, finds it.
    assert Trainer(tmp_path / "data").progress().state == "running"
    Trainer(tmp_path / "data").stop()
    again = Trainer(tmp_path / "data")
    found = again.progress()
    assert (found.state, found.step) == ("stopped", 40) and progress_html(found).count("Stopped.") == 1
    again.resume()
    assert again.progress().state == "running"
    finish(again)
    until(lambda: again.progress().state == "done")
    assert again.progress().done == 3 and "All 3 trainings are done" in progress_html(again.progress())


def test_a_failure_is_told_in_the_trainings_words(trainer):
    trainer.start(CLASSES, [["cat"]])
    until(lambda: trainer.progress().step)
    trainer.stop()
    log = trainer.runs.cell_folder(trainer.progress().trainings[0]) / "log.txt"
    log.write_text(log.read_text() + "\nError: there is no <val.txt>\n")
    text = progress_html(trainer.progress())
    assert "Failed." in text and "there is no &lt;val.txt&gt;" in text


def test_another_process_with_the_number_is_not_the_training(trainer, monkeypatch):
    trainer.start(CLASSES, [["cat"]])
    job = background._read_job()
    assert background._process(job) is not None
    assert background._process({**job, "created": job["created"] - 60}) is None
    assert background._process({**job, "pid": psutil.pids()[-1] + 100_000}) is None and background._process({}) is None


def test_roles_that_are_none_begin_nothing(trainer, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="no class gets masks"):
        trainer.start(CLASSES, [list(CLASSES)])
    assert trainer.progress().state == "none"
    monkeypatch.setattr(background, "ROOT", tmp_path)
    with pytest.raises(ConfigError, match="not installed here"):
        trainer.start(CLASSES, [["cat"]])


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("", ("", 0, 0, None)),
        (" 10%|█ | 150/1500 [01:00<09:00, 2.5step/s, loss 1.2]", ("", 150, 1500, 540.0)),
        ("| 1/1500 [00:09<3:59:51,  9.6s/step]", ("", 1, 1500, 14391.0)),
        ("  0%| | 0/1500 [00:00<?, ?step/s]", ("", 0, 1500, None)),
        ("teacher's features:  50%|█ | 20/40 [00:10<00:10, 2photo/s]", ("teacher's features", 20, 40, 10.0)),
        ("teacher: 100%|█| 9/9 [00:01<00:00, 9step/s]\n 1%| | 1/100 [00:01<01:39, 1step/s]", ("", 1, 100, 99.0)),
    ],
)
def test_how_far_a_log_says_it_is(tmp_path, line, read):
    (tmp_path / "log.txt").write_text(f"nonsense 3/4\n{line}\r")
    assert read_steps(tmp_path / "log.txt") == read and read_steps(tmp_path / "none.txt") == ("", 0, 0, None)
