"""Processes that load photos: what happens when one cannot, and when they are no longer needed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tiny import TINY

from simformer.paths import ROOT
from train.data import batches, load_split_of, open_datasets, training_stream


@pytest.mark.slow
def test_a_corrupt_photo_ends_the_run_in_one_sentence(settings, scenes, tmp_path):
    """Though other processes load the photos, and leave signals to the one that started them."""
    data = shutil.copytree(scenes, tmp_path / "data")
    photo = data / "images" / f"{(data / 'train.txt').read_text().split()[0]}.jpg"
    photo.write_bytes(photo.read_bytes()[:200])
    options = {"workers": 2, "cache": False, "steps": 50, "crop": 32}
    config = tmp_path / "config.yaml"
    chosen = settings(data=data, method="cam", model={"backbone": TINY["backbone"]}, **options)
    config.write_text(chosen.model_dump_json())  # JSON is YAML
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1] / 'helpers')!r}); import random_weights"
    ended = subprocess.run(
        [sys.executable, "-c", f"{script}; from train.__main__ import app; app()", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 1, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and str(photo) in last and "Traceback" not in ended.stderr


def test_processes_that_load_photos_end_with_the_stream(settings):
    config = settings(workers=2, steps=30)
    photos, _ = open_datasets(config)
    before = set(multiprocessing.active_children())
    with closing(batches(training_stream(config, photos, load_split_of(config, photos), 0), 2)) as loaded:
        assert next(loaded).pairs == 1
        started = set(multiprocessing.active_children()) - before
        assert len(started) == 2
    assert not any(process.is_alive() for process in started)
