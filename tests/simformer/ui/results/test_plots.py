from __future__ import annotations

import json
from dataclasses import replace

import pytest
from known_roles import known_roles

from simformer.costs import CostInputs, NotMeasured, best_for_budget, frontier, scenarios, sensitivity
from simformer.results import miou_table, per_class_table, published
from simformer.splits import dataset_classes, load_split
from simformer.ui.costs.plots import frontier_figure, sensitivity_figure
from simformer.ui.results.plots import (
    METHOD_COLORS,
    class_heat_map,
    miou_bars,
    novel_share_lines,
    series_names,
)

SPLITS = ["s1", "s2", "s3"]


def rows_of(cells, *, group="novel", **options):
    return [row for row in miou_table(cells, **options) if row.group == group]


def traces(figure, kind):
    """Traces of a type as the browser gets them, by name."""
    drawn = json.loads(figure.to_json())["data"]
    return {trace.get("name"): trace for trace in drawn if trace["type"] == kind}


def novel_mean(split, value):
    novel = load_split("msrc21", split).novel
    return value + sum(novel) / len(novel)


@pytest.fixture
def main_cells(synthetic_cells):
    return [cell for cell in synthetic_cells if cell.points in (None, 50)]


# ------------------------------------------------------------------------------------------ bars


def test_bars_stand_at_the_measured_values(main_cells):
    bars = traces(miou_bars(rows_of(main_cells, splits=SPLITS)), "bar")
    simformer = bars["SimFormer"]
    assert simformer["x"] == ["1", "2", "3"]
    # Split 1 has two seeds, 2 apart.
    assert simformer["y"] == pytest.approx([novel_mean("s1", 31), novel_mean("s2", 30), None])
    assert simformer["error_y"]["array"][:2] == [1, 0]
    assert simformer["error_y"]["arrayminus"][:2] == [1, 0]
    assert simformer["error_y"]["visible"] is True
    assert bars["CAM"]["error_y"]["visible"] is False


def test_a_missing_cell_is_marked_off_the_axis_and_never_zero(main_cells):
    figure = miou_bars(rows_of(main_cells, splits=SPLITS))
    assert all(value is None or value > 1 for bar in traces(figure, "bar").values() for value in bar["y"])
    marks = [trace for trace in json.loads(figure.to_json())["data"] if trace["type"] == "scatter"]
    by_group = {mark["offsetgroup"]: mark for mark in marks}
    groups = {bar["name"]: bar["offsetgroup"] for bar in traces(figure, "bar").values()}
    assert by_group[groups["SimFormer"]]["x"] == ["3"]
    assert by_group[groups["Basic Model"]]["x"] == ["2", "3"]
    assert groups["CAM"] not in by_group
    assert {mark["yaxis"] for mark in marks} == {"y2"}
    assert [mark["showlegend"] for mark in marks].count(True) == 1


def test_the_legend_tells_published_from_measured(main_cells):
    paper = [row for row in published() if row.table == "pairing"]
    bars = traces(miou_bars([*paper, *rows_of(main_cells, splits=["s1"])]), "bar")
    assert {"SimFormer (published)", "SimFormer (measured)"} <= bars.keys()
    for name, bar in bars.items():
        assert bar["marker"]["pattern"]["shape"] == ("/" if "published" in name else "")
        # Without "overlay" the hatching replaces the color.
        assert bar["marker"]["pattern"]["fillmode"] == "overlay"
        assert bar["marker"]["color"] == METHOD_COLORS[name.split(" (")[0]]


def test_bars_by_points(synthetic_cells):
    rows = rows_of(synthetic_cells, methods=["SimFormer"], splits=["s1", "s2"])
    bars = traces(miou_bars(rows, by="points"), "bar")
    assert bars["SimFormer, J = 50"]["y"] == pytest.approx([novel_mean("s1", 31), novel_mean("s2", 30)])
    assert bars["SimFormer, J = 100"]["y"] == pytest.approx([novel_mean("s1", 31), None])
    assert len({bar["marker"]["color"] for bar in bars.values()}) == 2


def test_series_are_told_apart_by_what_differs(make_result):
    cells = [
        make_result("SimFormer", "s1", points=50),
        make_result("SimFormer", "s1", points=50, label_rule="crop"),
        make_result("CAM", "all"),
    ]
    assert set(series_names(rows_of(cells))) == {"SimFormer", "SimFormer, crop labels", "CAM"}
    cells += [make_result("SimFormer", "s1", points=50, schedule="longer")]
    assert "SimFormer, longer" in series_names(rows_of(cells))
    # The paper repeats SimFormer in three tables; that makes no variants.
    names = series_names([row for row in published() if row.points in (None, 100)])
    assert "SimFormer (published)" in names and not any("pairing" in name for name in names)


# ----------------------------------------------------------------------------------------- lines


def test_lines_over_the_share_of_novel_classes(main_cells):
    rows = rows_of([c for c in main_cells if c.split != "s6"], splits=["s4", "s5", "s6", "s9"])
    lines = traces(novel_share_lines(rows), "scatter")
    simformer = lines["SimFormer"]
    assert simformer["x"] == pytest.approx([500 / 21, 600 / 21, 700 / 21, 1000 / 21])
    assert simformer["y"] == pytest.approx([novel_mean("s4", 30), novel_mean("s5", 30), None, novel_mean("s9", 30)])
    assert simformer["connectgaps"] is False
    assert simformer["line"]["dash"] == "solid"
    # Basic Model has no number on these splits: no line, and no legend entry that leads nowhere.
    assert "Basic Model" not in lines


def test_splits_of_one_share_have_one_tick(main_cells):
    rows = rows_of(main_cells, splits=["s1", "s2", "s5"])
    ticks = novel_share_lines(rows).layout.xaxis
    assert ticks.tickvals == pytest.approx([500 / 21, 600 / 21])
    assert ticks.ticktext == ("24 %<br>split 1, 2", "29 %<br>split 5")


def test_a_split_of_one_name_stands_at_its_own_share_in_each_table(main_cells):
    rows = rows_of(main_cells, splits=["s1"])
    rows += [replace(row, table="other", novel_share=0.5) for row in rows]
    lines = traces(novel_share_lines(rows), "scatter")
    assert sorted({tuple(line["x"]) for line in lines.values()}) == [pytest.approx((500 / 21,)), (50.0,)]


def test_published_lines_are_dashed():
    rows = [row for row in published() if row.table == "more novel classes"]
    lines = traces(novel_share_lines(rows), "scatter")
    assert lines["SimFormer* (published)"]["y"] == [31.7, 28.3, 28.2, 25.9, 24.3, 24.0]
    assert {line["line"]["dash"] for line in lines.values()} == {"dash"}
    assert len({(line["line"]["color"], line["marker"]["symbol"]) for line in lines.values()}) == len(lines)


# -------------------------------------------------------------------------------------- heat map


def test_every_class_is_in_the_map_of_its_role(main_cells):
    rows = per_class_table([cell for cell in main_cells if cell.method == "SimFormer"], splits=SPLITS)
    figure = class_heat_map(rows)
    maps = [json.loads(trace.to_json()) for trace in figure.data if trace.type == "heatmap"]
    assert len(maps) == 2
    classes = dataset_classes("msrc21")
    for row in rows:
        column, line = SPLITS.index(row.split), classes.index(row.class_name)
        base, novel = (drawn["z"][line][column] for drawn in maps)
        if row.iou is None:
            assert base is None and novel is None
            continue
        value, other = (base, novel) if row.role == "base" else (novel, base)
        assert value == pytest.approx(row.iou) and other is None
        letter = maps[0 if row.role == "base" else 1]["text"][line][column]
        assert letter == f"{row.iou:.0f} {'B' if row.role == 'base' else 'N'}"
    missing = next(trace for trace in figure.data if trace.name == "missing")
    assert set(missing.x) == {"3"} and len(missing.y) == len(classes)


# ----------------------------------------------------------------------------------------- costs


@pytest.fixture
def measured():
    roles = {"base": 60.0, "novel": 40.0, "cam": 10.0, "oracle": 65.0}
    return known_roles({name: roles for name in ("grass", "cow", "sky", "bird")})


@pytest.fixture
def inputs():
    classes = [{"name": name, "share": 0.2} for name in ("grass", "cow", "sky", "bird")]
    return CostInputs(images=100, classes=classes, hourly_rate=10.0)


def test_frontier_holds_the_efficient_sets_the_roles_and_the_best(inputs, measured):
    efficient = frontier(inputs, measured)
    best = best_for_budget(inputs, measured, 40.0)
    present = scenarios(inputs, ["cow"], measured)[1]
    figure = frontier_figure(efficient, present, best, "EUR")
    line, mark, star = figure.data
    assert list(line.x) == [scenario.money for scenario in efficient]
    assert list(line.y) == [scenario.expected.miou for scenario in efficient]
    # The cheaper set stays the best until the next can be paid.
    assert line.line.shape == "hv"
    assert mark.name == "Present roles" and "cow" in mark.customdata[0]
    assert star.x[0] == best.money <= 40
    assert "EUR" in figure.layout.xaxis.title.text


def test_a_scenario_without_expectation_is_not_drawn(inputs):
    unknown = scenarios(inputs, ["cow"], NotMeasured())[1]
    figure = frontier_figure([], unknown, None, "EUR")
    assert [trace.name for trace in figure.data if trace.x] == []


def test_sensitivity_lines(inputs):
    rows = sensitivity(inputs, ["cow"], factors=(0.5, 1, 2))
    lines = {trace.name: trace for trace in sensitivity_figure(rows, "EUR").data}
    assert list(lines["Weak-shot"].y) == [row.weak_shot for row in rows]
    assert list(lines["All masks"].x) == [39.5, 79.0, 158.0]
    assert len(set(lines["Image labels only"].y)) == 1


def test_a_method_of_no_row_is_drawn_in_a_color_of_its_own(main_cells):
    other = [cell.model_copy(update={"method": "Somebody's"}) for cell in main_cells if cell.method == "SimFormer"]
    rows = rows_of([*main_cells, *other])
    assert series_names(rows)[-1] == "Somebody's"
    figures = [miou_bars(rows), novel_share_lines(rows), class_heat_map(per_class_table(other))]
    bar = traces(figures[0], "bar")["Somebody's"]
    assert bar["marker"]["color"] not in METHOD_COLORS.values() and 31.0 < max(value or 0 for value in bar["y"])
    assert "Somebody's" in traces(figures[1], "scatter") and traces(figures[2], "heatmap")
