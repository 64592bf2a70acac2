from __future__ import annotations

import base64
import csv
import io
import re
from html import unescape

import pytest

from simformer.paths import ROOT
from simformer.results import CellScores, ResultCell, read_results, write_result
from simformer.splits import dataset_classes
from simformer.ui.results import tab as results
from simformer.ui.results.html import miou_html, runs_html
from simformer.ui.results.tab import (
    BY_CLASS,
    BY_SPLIT,
    MEASURED,
    MORE_NOVEL,
    PAIRING,
    POINTS,
    VIEWS,
    Selection,
    class_variants,
    dataset_choices,
    filters_text,
    one_points,
    only_table,
    select_rows,
    show,
    table_dropdown,
    tables,
)


@pytest.fixture
def cells(synthetic_results):
    return read_results(synthetic_results)


def saved(html, name):
    """The text of the file that a download link of that name saves."""
    match = re.search(rf'download="{re.escape(name)}" href="data:[^;]+;base64,([^"]+)"', html)
    return base64.b64decode(match[1]).decode()


# ----------------------------------------------------------------------------------------- rows


def test_measured_rows_of_every_view(cells):
    wanted = {
        BY_SPLIT: {"CAM", "FullyOracle", "SimFormer", "Basic Model", "Self-Pair"},
        MORE_NOVEL: {"CAM", "FullyOracle", "SimFormer", "Basic Model", "Self-Pair"},
        POINTS: {"SimFormer"},
        PAIRING: {"Basic Model", "Self-Pair", "SimFormer"},
    }
    for view, methods in wanted.items():
        assert {row.method for row in select_rows(cells, Selection(view))} == methods
    assert {row.points for row in select_rows(cells, Selection(POINTS))} == {50, 100}
    assert {row.points for row in select_rows(cells, Selection(PAIRING))} == {None, 50}
    assert {row.split for row in select_rows(cells, Selection(MORE_NOVEL))} == {"s4", "s5", "s6", "s7", "s8", "s9"}


def test_missing_cells_stay_in_the_table_without_a_number(cells):
    rows = {(row.method, row.split): row.miou for row in select_rows(cells, Selection(PAIRING))}
    assert rows["Basic Model", "s1"] == pytest.approx(35.0)
    assert rows["Basic Model", "s2"] is None


def test_filters(cells):
    chosen = Selection(methods=("CAM", "SimFormer"), splits=("s2", "s9"), group="base")
    rows = select_rows(cells, chosen)
    assert {(row.method, row.split, row.group) for row in rows} == {
        (method, split, "base") for method in ("CAM", "SimFormer") for split in ("s2", "s9")
    }
    assert select_rows(cells, Selection(origins=())) == []
    assert select_rows(cells, Selection(origins=("published",))) == []


def test_published_rows_show_each_number_once():
    rows = select_rows([], Selection(BY_SPLIT, "coco_stuff_10k"))
    keys = [(row.method, row.points, row.split) for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row.origin for row in rows} == {"published"}
    simformer = {row.split: row.miou for row in rows if row.method == "SimFormer"}
    assert simformer == {
        "s1": 31.1, "s2": 26.0, "s3": 31.5, "s4": 29.5, "s5": 27.1, "s6": 26.3, "s7": 25.1, "s8": 23.9, "s9": 23.2,
    }  # fmt: skip
    points = select_rows([], Selection(POINTS, "coco_stuff_10k"))
    assert {row.points for row in points} == {50, 100, 150} and len(points) == 12


def test_the_paper_gives_novel_classes_only():
    answer = show([], Selection(BY_SPLIT, "coco_stuff_10k", group="base"))
    assert answer.figure is None
    assert "gives no mIoU over base classes" in answer.notes


def test_measured_and_published_stand_side_by_side(make_result):
    iou = dict.fromkeys(dataset_classes("coco_stuff_10k"), 12.5)
    cell = make_result("SimFormer", "s1", points=100).model_copy(
        update={"dataset": "coco_stuff_10k", "scores": CellScores(miou=12.5, per_class=iou)}
    )
    answer = show([cell], Selection(PAIRING, "coco_stuff_10k"))
    names = {trace.name for trace in answer.figure.data}
    assert {"SimFormer (measured)", "SimFormer (published)"} <= names
    assert "SimFormer (measured)" in answer.table and "SimFormer (published)" in answer.table


def test_one_j_per_method_unless_j_is_what_is_shown(cells):
    kept = one_points(cells)
    assert {cell.points for cell in kept if cell.method == "SimFormer"} == {50}
    assert sum(cell.method == "SimFormer" for cell in kept) == 9


def test_a_split_measured_with_another_j_alone_is_not_lost(make_result):
    cells = [make_result("SimFormer", "s1", points=50), make_result("SimFormer", "s2", points=100)]
    assert one_points(cells) == cells
    both = [*cells, make_result("SimFormer", "s3", points=50), make_result("SimFormer", "s3", points=100)]
    assert len({cell.split for cell in one_points(both)}) == 3 == len(one_points(both))


def test_data_sets_to_choose(cells):
    assert [name for _, name in dataset_choices(cells)] == ["msrc21", "coco_stuff_10k"]
    assert [name for _, name in dataset_choices([])] == ["msrc21", "coco_stuff_10k"]


# --------------------------------------------------------------------------------------- answers


def test_the_csv_holds_the_rows_of_the_table(cells):
    answer = show(cells, Selection(splits=("s2",)))
    rows = list(csv.DictReader(io.StringIO(saved(answer.notes, "results.csv"))))
    assert {row["split"] for row in rows} == {"s2"}
    by_method = {row["method"]: row["miou"] for row in rows}
    assert float(by_method["SimFormer"]) == pytest.approx(30 + (3 + 6 + 11 + 12 + 19) / 5)
    assert by_method["Basic Model"] == ""


def test_every_measured_number_links_to_its_run(cells):
    answer = show(cells, Selection())
    targets = set(re.findall(r'href="#([^"]+)"', answer.table))
    assert targets and targets <= set(re.findall(r'id="([^"]+)"', answer.runs))
    assert answer.table.count(">missing<") == 14  # Basic Model and Self-Pair on 7 splits each


def test_a_run_tells_how_it_came_about_and_saves_its_json(cells):
    cell = next(c for c in cells if c.method == "SimFormer" and c.seed == 1)
    html = runs_html([cell])
    text = unescape(re.sub(r"<[^>]+>", " ", html))
    for fact in (
        "seed 1", "0123abcd", "no device", "2001-02-03 04:05", "7 photos", "12,345", "10 steps in 2 min",
        "python -m train synthetic.yaml split=s1", '"learning_rate": 0.125', "image-level labels",
    ):  # fmt: skip
        assert fact in text
    assert ResultCell.model_validate_json(saved(html, cell.file)) == cell.model_copy(update={"file": None})


def test_class_view_shows_one_method(cells):
    answer = show(cells, Selection(BY_CLASS))
    assert "SimFormer, J = 50" in answer.table
    assert 'class="role novel"' in answer.table
    assert "IoU per class" in answer.notes
    rows = list(csv.DictReader(io.StringIO(saved(answer.notes, "classes.csv"))))
    assert len(rows) == 21 * 8
    assert list(class_variants(cells, Selection(BY_CLASS)))[:2] == ["SimFormer, J = 50", "SimFormer, J = 100"]
    cam = show(cells, Selection(BY_CLASS, variant="CAM", splits=("s1",)))
    assert "trained once" in cam.notes
    assert "Split 1" in cam.table and "Split 2" not in cam.table


def test_nothing_measured_says_how_to_measure(tmp_path):
    for view in VIEWS:
        answer = show(read_results(tmp_path), Selection(view))
        assert answer.figure is None and answer.table == ""
        assert "python -m train train/configs/msrc21.yaml" in answer.notes
    for dataset in dict(dataset_choices([])).values():
        config = re.search(r"train/configs/\w+\.yaml", show([], Selection(dataset=dataset)).notes)[0]
        assert (ROOT / config).is_file()


@pytest.fixture
def own_cells(make_result):
    """CAM, FullyOracle, and SimFormer under two choices of novel classes, on classes of one's own."""

    def own(method, split, novel, points=None):
        scores = CellScores(miou=50.0, per_class={"nut": 40.0, "gear": 60.0, "bolt": 50.0})
        fields = {"dataset": "custom", "scores": scores, "novel": novel, "file": f"{method} {split}.json"}
        return make_result(method, "all", points=points).model_copy(update={**fields, "split": split})

    return [
        own("CAM", "all", []),
        own("FullyOracle", "all", []),
        own("SimFormer", "cheap", ["nut", "gear"], points=50),
        own("SimFormer", "dear", ["gear"], points=50),
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_own_data_has_every_view(own_cells, view):
    answer = show(own_cells, Selection(view, "custom"))
    assert answer.figure is not None and answer.table
    rows = select_rows(own_cells, Selection(view, "custom"))
    found = {(row.split, row.miou, round(row.novel_share, 3)) for row in rows if row.method == "SimFormer"}
    assert found == {("cheap", 50.0, 0.667), ("dear", 60.0, 0.333)}


@pytest.fixture
def role_sets(make_result, cells):
    """The synthetic cells, and SimFormer on two role sets that are no splits of the data set."""
    cell = next(cell for cell in cells if (cell.method, cell.points) == ("SimFormer", 50))
    names = list(cell.scores.per_class)
    made = {"r02-abcd": names[:2], "r12-0123": names[:12]}
    return [cell.model_copy(update={"split": name, "novel": n, "file": f"{name}.json"}) for name, n in made.items()]


@pytest.mark.parametrize("view", VIEWS)
def test_role_sets_are_shown_where_they_are_chosen(cells, role_sets, view):
    whole, mixed = show(cells, Selection(view)), show([*cells, *role_sets], Selection(view))
    assert mixed.table == whole.table
    assert ("2 other sets of roles were measured" in mixed.notes) == (view != MORE_NOVEL)
    if view != MORE_NOVEL:
        chosen = show([*cells, *role_sets], Selection(view, splits=("r02-abcd", "s1")))
        assert "Split r02-abcd" in chosen.table and "Split 1" in chosen.table and "r12" not in chosen.table
        assert chosen.figure is not None and "other sets of roles" not in chosen.notes


@pytest.mark.filterwarnings("error::UserWarning")
def test_role_sets_can_be_chosen(lay_out, tmp_path, make_result, role_sets):
    for cell in (make_result("SimFormer", "s1", points=50), *role_sets):
        write_result(cell, tmp_path)
    page = lay_out(results.build, results_folder=tmp_path)
    filters = next(fn.fn for fn in page.fns.values() if fn.name == "filters")
    labels = dict(filters(BY_SPLIT, "msrc21")[1].choices)
    assert {labels["Roles r02-abcd"], labels["Roles r12-0123"]} == {"r02-abcd", "r12-0123"}
    assert labels["Split 1: tree, sheep, bicycle, road, dog"] == "s1"
    assert list(labels)[-2:] == ["Roles r02-abcd", "Roles r12-0123"]


def test_closed_filters_say_what_they_hold():
    assert filters_text(Selection()) == "Filters: novel classes, measured and published"
    chosen = Selection(origins=(), group="all", methods=("CAM", "SimFormer"), splits=("s1", "r02-abcd"))
    assert filters_text(chosen) == "Filters: all classes, no numbers, CAM, SimFormer, split 1, r02-abcd"
    assert filters_text(Selection(POINTS, methods=("CAM",), origins=(MEASURED,))) == "Filters: novel classes, measured"
    assert filters_text(Selection(BY_CLASS)) == "Filters: all splits"


def test_tables_are_called_what_they_hold():
    assert table_dropdown(["msrc21", "msrc21_cpu", "own"]).choices == [
        ("latest", "msrc21"),
        ("earlier, with dropout", "msrc21_cpu"),
        ("own", "own"),
    ]


def test_of_several_tables_one_is_shown(make_result):
    of_a = [make_result("SimFormer", split, points=50, schedule="a") for split in ("s1", "s2")]
    of_b = [make_result("SimFormer", "s1", points=points, schedule="b") for points in (50, 100, 150)]
    elsewhere = make_result("CAM", "all").model_copy(update={"dataset": "custom", "schedule": "c"})
    cells = [*of_b, *of_a, elsewhere]
    assert tables(cells, "msrc21", BY_SPLIT) == ["a", "b"]
    assert tables(cells, "msrc21", POINTS) == ["b", "a"]
    assert tables([], "msrc21", BY_SPLIT) == []
    assert only_table(cells, "msrc21", "a") == [*of_a, elsewhere]
    assert only_table(cells, "msrc21", None) == only_table(cells, "custom", "a") == cells


def test_own_data_trained_once_for_all_roles(own_cells):
    for cells in (own_cells[:1], own_cells[1:2]):
        answer = show(cells, Selection(BY_SPLIT, "custom", group="all"))
        assert answer.figure is not None and "50.0" in answer.table


def test_broken_files_are_named(cells):
    answer = show(cells, Selection(), ["half.json is not a result: <b>"])
    assert "half.json is not a result: &lt;b&gt;" in answer.notes


def test_single_trainings_are_said_to_be(make_result):
    one = make_result("CAM", "all"), make_result("SimFormer", "s1", points=50)
    assert "is of one training" in show(one, Selection()).notes
    again = make_result("SimFormer", "s1", points=50, seed=1)
    assert "is of one training" not in show([*one, again], Selection()).notes
    assert "is of one training" not in show(one, Selection(dataset="coco_stuff10k")).notes


def test_names_from_files_are_escaped(make_result):
    cell = make_result("CAM", "all").model_copy(
        update={"method": "<script>", "file": "<img>.json", "command": "<b>", "config": {"x": "</pre>"}}
    )
    answer = show([cell.model_copy(update={"split": "s1"})], Selection())
    for html in (answer.table, answer.runs):
        assert "<script>" not in html and "<img>" not in html
    assert "<b>" not in answer.runs and answer.runs.count("</pre>") == 1
    assert miou_html(select_rows([cell], Selection())).count("<table") == 1


def test_the_tab_is_built_with_private_events(lay_out, synthetic_results):
    page = lay_out(results.build, results_folder=synthetic_results)
    assert all(function.api_visibility == "private" for function in page.fns.values())
    assert page.get_api_info()["named_endpoints"] == {}


def test_a_new_result_needs_no_restart(lay_out, tmp_path, make_result):
    page = lay_out(results.build, results_folder=tmp_path)
    update = next(fn.fn for fn in page.fns.values() if fn.name == "update")
    arguments = (BY_SPLIT, "msrc21", None, ["measured"], "novel", [], [], None)
    assert "Nothing was measured" in update(*arguments)[1]
    write_result(make_result("SimFormer", "s2", points=50), tmp_path)
    assert "40.2" in update(*arguments)[2]
