"""The package as others have it: public names that cost nothing until used, and a wheel that brings its weights."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

import simformer
from simformer.paths import ROOT


def test_public_names():
    assert set(simformer.__all__) <= set(dir(simformer))
    from simformer.predictor import Predictor

    assert simformer.Predictor is Predictor
    assert simformer.load_split("msrc21", "s1").novel
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        simformer.Predicter  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, simformer; assert not {'torch', 'gradio', 'numpy'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_wheel_brings_what_it_needs_and_runs_elsewhere(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert "simformer/py.typed" in names and "simformer/data/splits.json" in names
    assert "train/configs/msrc21.yaml" in names and "train/prepare/lists/msrc21_train.txt" in names
    assert "simformer/assets/weights/msrc21/s1.safetensors" in names
    assert any(name.startswith("simformer/ui/static/") for name in names)
    metadata = next(name for name in names if name.endswith("/METADATA"))
    text = (tmp_path / "site" / metadata).read_text()
    assert "Requires-Dist: torch>=2.9\n" in text and "Provides-Extra: train\n" in text
    code = (
        "import simformer, sys; from simformer.weights import available_models, find_weights; "
        "assert simformer.__file__.startswith(sys.argv[1]), simformer.__file__; "
        "assert find_weights('split1') == available_models()['msrc21/s1']; print(simformer.__version__)"
    )
    site = str(tmp_path / "site")
    ran = subprocess.run(
        [sys.executable, "-c", code, site], cwd=tmp_path, env={"PYTHONPATH": site}, capture_output=True, text=True
    )
    assert ran.stdout.strip() == simformer.__version__, ran.stderr
