"""python -m train.tables.role_sets TABLE.yaml [key=value ...]: prints the random role sets of a table, as YAML.

A role set names the novel classes of a data set. A table's `random_splits` draws some in place of `splits`:

    cells:
      - {name: plus, random_splits: &drawn {count: 16, novel: [2, 12], seed: 0}}
      - {name: plus, random_splits: {count: 16, novel: [2, 12], seed: 0, first: 4}, seeds: [1]}
      - {name: plus_sealed, random_splits: {count: 4, novel: [2, 12], seed: 1, after: *drawn}, sealed: true}

The first group trains 16 sets of 2 to 12 novel classes, the second four of them again with another seed, the third four
sets that are neither among the 16 nor nested with one of them. The names are known, and can be committed, before
anything is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from simformer.errors import ConfigError, exit_on_error
from train.tables.cells import read_table


def as_text(table: Path, overrides: list[str]) -> str:
    """The role sets that a table draws, as YAML: a data set's name over its sets' names over their novel classes.

    Raises:
        ConfigError: the table is wrong or draws none.
    """
    lines: dict[str, dict[str, str]] = {}
    for cell in read_table(table, overrides, Path("runs")):
        if cell.drawn:
            settings = cell.settings
            novel = yaml.safe_dump(settings.novel, default_flow_style=True, allow_unicode=True, width=float("inf"))
            line = f"  {settings.split}: {novel.strip()}{'  # sealed' if cell.sealed else ''}"
            lines.setdefault(settings.dataset, {})[settings.split] = line
    if not lines:
        raise ConfigError(f"{table} has no random_splits")
    return "\n".join(line for dataset, sets in lines.items() for line in (f"{dataset}:", *sets.values()))


def main(
    table: Annotated[Path, typer.Argument(help="the table, a YAML file")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value settings for every cell")] = None,
) -> None:
    """Print names and novel classes of a table's random role sets."""
    with exit_on_error():
        print(as_text(table, overrides or []))


if __name__ == "__main__":
    typer.run(main)
