"""What was measured with part of the masks, beside all of them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from simformer.results import GivenMasks, mask_share_table, miou_table, read_results, result_name
from simformer.splits import load_split

NOVEL = load_split("msrc21", "s1").novel
MIDDLE = 30 + sum(NOVEL) / len(NOVEL)  # of SimFormer on the novel classes of split 1


@pytest.fixture
def rows(synthetic_cells, part_masked_cells):
    return mask_share_table([*synthetic_cells, *part_masked_cells])


def test_a_curve_ends_at_the_ordinary_cells(rows):
    found = [row for row in rows if (row.method, row.group) == ("SimFormer", "novel")]
    assert [(row.share, row.corners, row.alone, row.seeds) for row in found] == [
        (0.1, 0, False, 1), (0.5, 0, False, 1), (1, 0, False, 2), (1, 8, False, 1),
    ]  # fmt: skip
    assert [row.miou for row in found] == pytest.approx([MIDDLE - 20, MIDDLE - 10, MIDDLE + 1, MIDDLE - 5])
    assert (found[2].lowest, found[2].highest) == pytest.approx((MIDDLE, MIDDLE + 2))
    assert found[0].files == ("synthetic_msrc21_simformer_s1_seed0_points50_masks10.json",)


def test_masked_photos_alone_are_a_line_of_their_own(rows):
    found = [row for row in rows if (row.method, row.group) == ("FullyOracle", "all")]
    assert [(row.share, row.alone, row.split) for row in found] == [(0.5, True, "s1"), (1, True, "s1")]
    assert found[1].miou - found[0].miou == pytest.approx(30)


def test_other_methods_and_splits_are_not_asked(rows, synthetic_cells):
    assert {(row.method, row.split) for row in rows} == {("SimFormer", "s1"), ("FullyOracle", "s1")}
    assert mask_share_table(synthetic_cells) == []


def test_who_does_not_ask_gets_ordinary_cells_alone(synthetic_results, synthetic_cells, part_masked_cells):
    ordinary = read_results(synthetic_results)
    assert {cell.file for cell in ordinary} == {result_name(cell) for cell in synthetic_cells}
    assert miou_table(ordinary) == miou_table(sorted(synthetic_cells, key=result_name))
    assert len(read_results(synthetic_results, part_masked=True)) == len(ordinary) + len(part_masked_cells)


def test_what_can_be_given():
    assert GivenMasks(share=0.25, corners=8).title == "masks on 25 % of the photos, masks of at most 8 corners"
    assert GivenMasks(share=0.25, unmasked="left_out").title == "masks on 25 % of the photos alone"
    for wrong in ({"share": 0}, {"share": 1.1}, {"corners": -1}, {"photos": 3}):
        with pytest.raises(ValidationError):
            GivenMasks(**wrong)
