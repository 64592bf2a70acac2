from __future__ import annotations

import json
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from simformer.batch.run import BATCHES_WAITING, Job, prepared_ahead, segment_jobs
from simformer.errors import ImageError
from simformer.predictor import Predictor


@pytest.fixture
def predictor(tiny_models, monkeypatch):
    """A predictor that notes in `batches` how many photos its network sees at a time."""
    predictor = Predictor.load(tiny_models / "split1.safetensors", "cpu")
    predictor.batches = []
    segment_batch = predictor.segment_batch

    def noted(photos, **options):
        predictor.batches.append(len(photos))
        return segment_batch(photos, **options)

    monkeypatch.setattr(predictor, "segment_batch", noted)
    return predictor


@pytest.fixture
def jobs(tmp_path):
    """Writes photos of the given (height, width), each a job."""

    def write(*sizes: tuple[int, int]) -> list[Job]:
        rng = np.random.default_rng(0)
        made = []
        for number, (height, width) in enumerate(sizes):
            path = tmp_path / f"{number}.png"
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
            made.append(Job(path, tmp_path / "out" / str(number), path.name, None))
        return made

    return write


def test_photos_of_one_size_share_batches(predictor, jobs):
    photos = jobs(*[(48, 64), (64, 48)] * 5)
    outcomes = dict(segment_jobs(predictor, photos, 0.0, 4))
    assert predictor.batches == [4, 4, 1, 1]
    assert set(outcomes) == set(photos)
    for job in photos:
        assert isinstance(outcomes[job], str)
        alone = predictor.segment(job.path)
        with Image.open(f"{job.stem}.png") as labels:
            np.testing.assert_array_equal(np.array(labels), alone.labels)
        table = json.loads(job.stem.with_name(f"{job.stem.name}.json").read_text())["table"]
        assert [row["score"] for row in table] == pytest.approx([row.score for row in alone.table()], rel=1e-4)


def test_one_at_a_time_in_order(predictor, jobs):
    photos = jobs((48, 64), (64, 48), (48, 64))
    assert [job for job, _ in segment_jobs(predictor, photos, 0.0, 1)] == photos
    assert predictor.batches == [1, 1, 1]


def test_rare_sizes_do_not_wait_for_ever(predictor, jobs):
    photos = jobs((48, 64), *[(48, 72 + 8 * number) for number in range(9)])
    outcomes = segment_jobs(predictor, photos, 0.0, 2)
    assert next(outcomes)[0] == photos[0]
    assert predictor.batches == [1]
    assert len(list(outcomes)) == 9
    # The first went when as many waited as may.
    assert 2 * BATCHES_WAITING < 10


def test_a_bad_photo_in_the_middle(predictor, jobs):
    photos = jobs((48, 64), (48, 64), (48, 64))
    photos[1].path.write_bytes(b"no photo")
    outcomes = dict(segment_jobs(predictor, photos, 0.0, 2))
    assert isinstance(outcomes.pop(photos[1]), ImageError)
    assert predictor.batches == [2] and all(isinstance(line, str) for line in outcomes.values())


def test_a_batch_that_is_too_large_is_halved(predictor, jobs, monkeypatch):
    segment_batch = predictor.segment_batch

    def small_gpu(photos, **options):
        if len(photos) > 1 or photos[0].size == (48, 65):
            raise torch.OutOfMemoryError
        return segment_batch(photos, **options)

    monkeypatch.setattr(predictor, "segment_batch", small_gpu)
    photos = jobs((48, 64), (48, 64), (48, 65))  # of one shape for the network
    outcomes = dict(segment_jobs(predictor, photos, 0.0, 3))
    assert predictor.batches == [1, 1] and list(outcomes) == photos
    assert "too little memory" in str(outcomes[photos[2]]) and isinstance(outcomes[photos[0]], str)


def test_a_batch_that_was_too_large_is_gone_when_the_halves_come(predictor, jobs, monkeypatch):
    alive = []

    def full_gpu(photos, **options):
        assert [each for each in alive if each() is not None] == []
        layer = torch.zeros(1)
        alive.append(weakref.ref(layer))
        raise torch.OutOfMemoryError

    monkeypatch.setattr(predictor, "segment_batch", full_gpu)
    outcomes = dict(segment_jobs(predictor, jobs(*[(48, 64)] * 4), 0.0, 4))
    assert len(alive) == 7 and all("too little memory" in str(outcome) for outcome in outcomes.values())


def test_a_file_of_another_program_is_not_replaced(predictor, jobs, tmp_path):
    (tmp_path / "out").mkdir()
    labelme = tmp_path / "out" / "0.json"
    labelme.write_text('{"shapes": []}')
    ((_, outcome),) = segment_jobs(predictor, jobs((48, 64)), 0.0, 1)
    assert "0.json is not of an earlier run" in str(outcome)
    assert labelme.read_text() == '{"shapes": []}' and not (tmp_path / "out" / "0.png").exists()


def test_results_that_cannot_be_written(predictor, jobs, tmp_path):
    photos = jobs((48, 64), (48, 64))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes(b"somebody's")
    first, second = segment_jobs(predictor, photos, 0.0, 2)
    assert "0.png is not of an earlier run" in str(first[1]) and isinstance(second[1], str)


def test_photos_are_read_ahead_and_no_further(predictor, jobs, monkeypatch):
    began = []
    monkeypatch.setattr(predictor, "prepare", began.append)
    photos = jobs(*[(8, 8)] * 6)
    for number, (job, photo) in enumerate(prepared_ahead(predictor, photos, 2), start=1):
        photo.result()
        assert job == photos[number - 1]
        assert len(began) <= number + 2


def test_a_batch_is_of_one_shape(predictor, jobs):
    photos = [predictor.prepare(job.path) for job in jobs((48, 64), (64, 48))]
    with pytest.raises(ValueError, match="equal shapes"):
        predictor.segment_batch(photos)
    assert predictor.segment_batch([]) == []


def test_on_a_cpu_each_thread_has_a_photo(predictor, jobs, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    both, working = threading.Barrier(3), set()
    segment = predictor.segment

    def waiting(photo, **options):
        working.add(threading.current_thread().name)
        both.wait(timeout=20)  # passes only if three are here at once
        return segment(photo, **options)

    monkeypatch.setattr(predictor, "segment", waiting)
    photos = jobs(*[(48, 64)] * 6)
    assert [job for job, outcome in segment_jobs(predictor, photos, 0.0, 1) if isinstance(outcome, str)] == photos
    assert len(working) == 3


def test_threads_leave_the_number_of_threads_as_it_was(predictor, jobs):
    before = torch.get_num_threads()
    list(segment_jobs(predictor, jobs((48, 64)), 0.0, 1))
    assert torch.get_num_threads() == before
