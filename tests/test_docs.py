"""README and docs: what they show runs, what they name is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from PIL import Image

from simformer.__main__ import app
from simformer.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN, NOT_RUN = "<!-- run -->", "<!-- not run: "
COMMAND = re.compile(r"python -m (simformer|train)([.\w]*)")


@dataclass(frozen=True)
class Block:
    """A fenced block, and the line before it."""

    page: str
    language: str
    text: str
    before: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks() -> list[Block]:
    return [
        Block(page.name, match[2], match[3], match[1])
        for page in PAGES
        for match in re.finditer(r"([^\n]*)\n```(\w*)\n(.*?)\n```", page.read_text(), re.DOTALL)
    ]


PYTHON = [block for block in blocks() if block.language == "python" and not block.before.startswith(NOT_RUN)]
SHELL = [block for block in blocks() if block.language == ""]
CHEAP = [block for block in SHELL if block.before == RUN]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An empty folder with a photo, in which the blocks run."""
    Image.linear_gradient("L").convert("RGB").resize((160, 120)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_blocks_of_every_kind():
    assert PYTHON and CHEAP and len(SHELL) > len(CHEAP)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(elsewhere, block):
    exec(compile(block.text, block.page, "exec"), {})


@pytest.mark.slow
@pytest.mark.parametrize("block", CHEAP, ids=str)
def test_cheap_commands_run(elsewhere, block):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in block.text.splitlines():
        words = shlex.split(line)
        assert words[0] == "python"
        done = subprocess.run([sys.executable, *words[1:]], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(list(elsewhere.iterdir())) > 1 or "cost" in block.text


def test_commands_that_are_not_run_have_the_modules_and_options_that_are_named():
    commands = typer.main.get_group(app).commands
    text = "\n".join(page.read_text() for page in PAGES)
    for package, module in set(COMMAND.findall(text)):
        path = ROOT / package / module.strip(".").replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{package}{module}"
    named = re.findall(r"python -m simformer (\w+)([^`\n]*)", text)
    assert {command for command, _ in named} == set(commands)
    for command, rest in named:
        known = {option for p in commands[command].params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"--[a-z][a-z-]*", rest)) <= known, f"{command} {rest}"
    for config in re.findall(r"train/configs/(?!table_mine|NAME)\w+\.yaml", text):
        assert (ROOT / config).is_file(), config


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_short_and_starts_with_the_settings_of_the_space():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 180
    assert lines[0] == "---" and "sdk: gradio" in lines and "app_file: app.py" in lines
