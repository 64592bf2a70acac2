from __future__ import annotations

from made_cells import only

from simformer.results import (
    published,
    published_note,
)


def test_published_numbers():
    rows = published()
    assert only(rows, table="points", points=150, split="s3").miou == 31.6
    assert only(rows, table="pairing", method="Self-Pair", split="s2").miou == 24.3
    assert only(rows, table="more novel classes", method="SimFormer*", split="s9").miou == 24.0
    assert only(rows, table="more novel classes", method="FullyOracle", split="s8").miou == 36.5
    assert {(row.origin, row.dataset, row.group) for row in rows} == {("published", "coco_stuff_10k", "novel")}
    # The tables agree where they overlap.
    for split in ("s1", "s2", "s3", "s4"):
        same = only(rows, table="points", points=100, split=split).miou
        assert only(rows, table="pairing", method="SimFormer", split=split).miou == same
    assert len(rows) == 12 + 12 + 24
    assert "NeurIPS 2022" in published_note()
