from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simformer.__main__ import app
from simformer.errors import ConfigError
from simformer.expected_results import record_expected


@pytest.fixture
def data(tmp_path):
    """Two photos with label maps of the classes of the shipped tiny models."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for name in ("p0", "p1"):
        Image.fromarray(rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 3, (36, 48), dtype=np.uint8)).save(root / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("sky\ngrass\ncat\n")
    (root / "val.txt").write_text("p0\np1\n")
    return root


@pytest.fixture
def weights(tiny_models, tmp_path, monkeypatch):
    """A folder with split1 and cam, in which tests may write."""
    folder = Path(shutil.copytree(tiny_models, tmp_path / "weights"))
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(folder))
    return folder


def run(command, data, *arguments):
    return CliRunner().invoke(app, [command, "--data", str(data), "--device", "cpu", *map(str, arguments)])


def measured(data, name):
    return json.loads(run("evaluate", data, "--weights", name).stdout)


def test_what_was_measured_is_measured_again(weights, data):
    for name in ("split1", "cam"):
        record_expected(weights, name, measured(data, name))
    done = run("verify", data)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    # CAM's base classes and all are the same; split1 has a novel one too.
    assert {tuple(line.split()[:2]) for line in lines} >= {("split1", "miou"), ("split1", "novel"), ("cam", "miou")}
    assert all(line.endswith("as expected") for line in lines)


def test_another_number_is_off_and_fails(weights, data):
    found = measured(data, "split1")
    record_expected(weights, "split1", found | {"base": found["base"] + 1})
    done = run("verify", data, "--only", "split1")
    assert done.exit_code == 1
    assert [line.split()[1] for line in done.stdout.splitlines() if line.endswith("OFF")] == ["base"]


def test_nothing_to_verify_and_unknown_models_are_one_sentence(weights, data):
    with pytest.raises(ConfigError, match=r"nothing to verify: no model has an entry in .*expected\.json"):
        raise run("verify", data).exception
    with pytest.raises(ConfigError, match="no model 'none'"):
        raise run("verify", data, "--only", "none").exception
