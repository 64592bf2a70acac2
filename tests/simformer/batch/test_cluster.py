from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer.batch import cluster as distributed
from simformer.errors import ConfigError

pytest.importorskip("ray.data", reason='Ray is not installed: pip install "ray[data]"')


@pytest.fixture
def photos(tmp_path) -> Path:
    """Eleven photos in two folders, one that cannot be read, and a good one of that one's name."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    for number in range(10):
        photo = Image.fromarray(rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8))
        photo.save(folder / ("below" if number % 3 == 0 else "") / f"{number}.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 not a photo")
    photo.save(folder / "bad.png")
    return folder


@pytest.fixture
def segment(shipped, photos):
    def run(out: Path, *options: str):
        words = ["segment", str(photos), "--out", str(out), "--device", "cpu", "--recursive", *options]
        return CliRunner().invoke(command_line.app, words)

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_files_as_one_process(segment, photos, tmp_path, ray_address):
    here = segment(tmp_path / "here", "--format", "coco")
    there = segment(tmp_path / "there", "--format", "coco", "--batch", "2", "--ray", ray_address)
    assert here.exit_code == there.exit_code == 1  # for bad.jpg
    expected = files(tmp_path / "here")
    assert len(expected) == 2 * 11 + 1 and files(tmp_path / "there") == expected
    assert sorted(there.stdout.splitlines())[:-1] == sorted(here.stdout.splitlines())[:-1]
    assert there.stderr.count("was not segmented") == 1 and "bad.jpg" in there.stderr


def test_only_what_is_missing_is_done(segment, photos, tmp_path, ray_address):
    assert segment(tmp_path / "out").exit_code == 1
    expected = files(tmp_path / "out")
    (tmp_path / "out" / "4.png").unlink()
    (tmp_path / "out" / "below" / "0.json").unlink()
    (tmp_path / "out" / "below" / "0.png").unlink()
    kept = (tmp_path / "out" / "5.png").stat().st_mtime_ns
    result = segment(tmp_path / "out", "--ray", ray_address)
    assert "9 of 12 photos are done already" in result.stdout
    assert files(tmp_path / "out") == expected
    assert (tmp_path / "out" / "5.png").stat().st_mtime_ns == kept


def test_a_worker_for_every_cpu(ray_address):
    with distributed.connected(ray_address) as cluster:
        assert (cluster.workers, cluster.resources) == (2, {"num_cpus": 1.0, "num_gpus": 0.0})


def test_weights_that_the_workers_cannot_read(photos, tmp_path, ray_address):
    job = distributed.Job(photos / "bad.png", tmp_path / "bad", "bad.png", None)
    with distributed.connected(ray_address) as cluster:
        [outcome] = distributed.segment_on(cluster, [job], tmp_path / "none.safetensors", "cpu", 0.0)
    assert outcome[0] == 0 and "none.safetensors" in str(outcome[1])


def test_no_cluster_there(segment, tmp_path):
    result = segment(tmp_path / "out", "--ray", "127.0.0.1:1")
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigError)
    assert "there is no Ray cluster at '127.0.0.1:1'" in str(result.exception)
    assert not list((tmp_path / "out").iterdir())
