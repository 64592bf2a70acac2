"""How much mask is enough: the section of the Results tab."""

from __future__ import annotations

import json
import re

from simformer.results import read_results
from simformer.ui.results.shares import share_rows, shares_figure, shares_html, update


def test_a_line_a_method_and_group_and_marks_of_coarse_masks(synthetic_results):
    rows = share_rows(read_results(synthetic_results, part_masked=True), "msrc21", None)
    drawn = {trace["name"]: trace for trace in json.loads(shares_figure(rows).to_json())["data"]}
    assert list(drawn) == [
        "SimFormer, all", "SimFormer, all, coarse masks", "SimFormer, novel", "SimFormer, novel, coarse masks",
        "FullyOracle, masked photos alone, all", "FullyOracle, masked photos alone, novel",
    ]  # fmt: skip
    assert drawn["SimFormer, all"]["x"] == [10, 50, 100] and drawn["SimFormer, all, coarse masks"]["x"] == [100]
    assert drawn["SimFormer, all"]["line"]["color"] == drawn["SimFormer, novel"]["line"]["color"]
    assert drawn["SimFormer, novel"]["error_y"]["array"] == [0, 0, 1]


def test_numbers_lead_to_the_runs_with_part_of_the_masks(synthetic_results):
    cells = read_results(synthetic_results, part_masked=True)
    html = shares_html(share_rows(cells, "msrc21", None), cells)
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets == set(re.findall(r'<div id="([^"]+)"', html)) and len(targets) == 4
    assert "masks of at most 8 corners" in html and html.count("2 seeds") == 2
    assert all(text in html for text in (">10 %<", ">50 %<", ">100 %<", ">100 %, 8 corners<"))


def test_it_is_there_only_with_such_results(synthetic_results):
    cells = read_results(synthetic_results, part_masked=True)

    def shown(found, dataset, table):
        return [part.visible for part in update(found, dataset, table)]

    assert shown(cells, "msrc21", None) == shown(cells, "msrc21", "synthetic") == [True] * 3
    another = cells[0].model_copy(update={"schedule": "another", "masks": None})
    assert shown([*cells, another], "msrc21", "another") == [False] * 3
    assert shown(cells, "nyuv2", None) == shown(read_results(synthetic_results), "msrc21", None) == [False] * 3
