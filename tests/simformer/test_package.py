"""The package as others have it: public names that cost nothing until used, and a wheel that brings its weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """This checkout as a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_a_wheel_brings_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        text = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert "simformer/py.typed" in names and "simformer/data/splits.json" in names
    assert "train/configs/msrc21.yaml" in names and "train/prepare/lists/msrc21_train.txt" in names
    assert "simformer/assets/weights/msrc21/s1.safetensors" in names
    assert any(name.startswith("simformer/ui/static/") for name in names)
    assert "Requires-Dist: torch>=2.9\n" in text
    extras = dict.fromkeys(line.split(": ")[1] for line in text.splitlines() if line.startswith("Provides-Extra"))
    assert set(extras) == {"train", "dev", "onnx", "openvino", "ray", "mcp"}
    for package, extra in (("ray[data]", "ray"), ("onnxruntime", "onnx"), ("gradio[mcp]", "mcp"), ("onnx", "dev")):
        line = rf"Requires-Dist: {re.escape(package)}\S*; extra == ['\"]{extra}['\"]"
        assert re.search(line, text), (package, extra)


@pytest.mark.slow
def test_an_installed_wheel_segments_a_photo_from_an_empty_folder(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    # What the wheel depends on is lent from here: to install it anew would take minutes.
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)]
    installed = subprocess.run(install, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    folder = tmp_path / "empty"
    folder.mkdir()
    Image.linear_gradient("L").convert("RGB").resize((160, 120)).save(folder / "photo.jpg")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python.with_name("simformer"), "segment", "photo.jpg", "--out", "masks"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (folder / "masks").iterdir()) == ["photo.json", "photo.png"]
    code = "import simformer; print(simformer.__file__, simformer.__version__)"
    where = subprocess.run([python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True).stdout
    assert where.startswith(str(site)) and where.split()[1] == simformer.__version__
