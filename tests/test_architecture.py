"""The rules of docs/architecture.md: imports go one way and in no circle, no folder and no file becomes a heap."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from simformer.paths import ROOT

PARTS = ("simformer", "train")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for part in PARTS
    for path in sorted((ROOT / part).rglob("*.py"))
}
NETWORKS = {f"simformer.{name}" for name in ("model", "attention", "backbones", "cam")}
METHOD = {f"simformer.{name}" for name in ("matching", "criterion", "similarity")}


def imported(path: Path) -> set[str]:
    """Modules of this project that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # Where a package's function is called like one of its modules, the function is meant.
            modules = names & FILES.keys() if node.module not in ("simformer.costs", "simformer.results") else set()
            found |= modules | ({node.module} if names - modules else set())
    return found & FILES.keys()


IMPORTS = {name: imported(path) for name, path in FILES.items()}


def users_of(room: str) -> set[str]:
    """Modules outside a package that import something in it."""
    inside = {name for name in FILES if name == room or name.startswith(f"{room}.")}
    return {name for name, used in IMPORTS.items() if used & inside and name not in inside}


def test_no_circles():
    assert set(TopologicalSorter(IMPORTS).static_order()) == set(FILES)


def test_imports_go_down():
    assert users_of("simformer.ui") == set()
    assert users_of("simformer.cli") == {"simformer.__main__"}
    assert all(name.startswith("train") for name in users_of("train"))
    assert users_of("train.tools") == users_of("train.prepare") == set()
    assert {name for name in users_of("train.tables") if not name.startswith("train.tools")} == {
        "train.__main__", "train.engine",
    }  # fmt: skip


@pytest.mark.parametrize("room, allowed", [
    ("simformer.utils", ("simformer.errors",)),
    ("simformer.ui.parts", ("simformer.",)),
    ("train.runtime", ("simformer.",)),
    ("train.prepare", ("simformer.", "train.runtime.")),
])  # fmt: skip
def test_rooms_that_know_little(room, allowed):
    for name, used in IMPORTS.items():
        if name.startswith(f"{room}."):
            others = {module for module in used if not module.startswith(f"{room}.")}
            assert all(module.startswith(allowed) for module in others), name
            assert not any(module.startswith("simformer.ui.") for module in others), name


def test_networks_and_losses_know_no_files_and_no_pages():
    ground = {"simformer.errors", "simformer.labels"}
    for name in NETWORKS | METHOD:
        assert IMPORTS[name] <= ground | NETWORKS | METHOD, name
    assert not any(IMPORTS[name] & METHOD for name in NETWORKS)


@pytest.mark.parametrize("folder, most", [("simformer", 20), ("simformer/ui", 9), ("train", 11)])
def test_roots_stay_small(folder, most):
    assert len(list((ROOT / folder).glob("*.py"))) <= most


def test_no_file_is_long():
    files = [*FILES.values(), ROOT / "app.py", *sorted((ROOT / "tests").rglob("*.py"))]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length >= 400} == {}
