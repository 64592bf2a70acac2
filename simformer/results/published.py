"""The paper's own numbers."""

from __future__ import annotations

import json
from functools import cache

from simformer.paths import DATA
from simformer.results.tables import MiouRow
from simformer.splits import load_split

_PUBLISHED = DATA / "published.json"


@cache
def published() -> tuple[MiouRow, ...]:
    """The paper's numbers on COCO-Stuff-10K: mIoU over novel classes, the one group they were given for."""
    data = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    return tuple(
        MiouRow(
            "published",
            data["dataset"],
            table["name"],
            row["method"],
            split,
            row["points"],
            None,
            "novel",
            load_split(data["dataset"], split).novel_share,
            miou=novel,
            lowest=novel,
            highest=novel,
            seeds=1,
        )
        for table in data["tables"]
        for row in table["rows"]
        for split, novel in row["novel"].items()
    )


def published_note() -> str:
    """Where the published numbers come from and what they are, in a few sentences."""
    data = json.loads(_PUBLISHED.read_text(encoding="utf-8"))
    return f"{data['citation']}; {data['unit']} on COCO-Stuff-10K. {data['note']}"
