"""PYTHONPATH=. python tests/helpers/screenshots.py FOLDER: pictures of every tab, wide and narrow, light and dark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from playwright.sync_api import Browser, Page
from serving import chromium, serve

from simformer.datasets.examples import list_examples
from simformer.datasets.synthetic import write_scenes
from simformer.labels import VOID
from simformer.splits import dataset_classes, shipped_choice

WIDTHS = {"wide": 1440, "narrow": 390}
THEMES = ("light", "dark")
SLOW = 180_000  # milliseconds; a cold start on a busy machine
COMPARED_SPLIT = "s4"
# Everything is made and sorted, and the rows show it.
COMPARED = """() => document.querySelector(".compare-row") && !document.querySelector(".compare-progress progress")
  && !document.querySelector(".compare[aria-busy]") && !document.querySelector(".compare-row[data-waiting]")"""
README_HEIGHT = 1300  # pixels; what stands below is left to the page


def empty(page: Page) -> None:
    """The Segment tab before anything has been chosen."""
    page.get_by_role("tab", name="Segment", exact=True).click(timeout=SLOW)
    page.get_by_text("Its views appear here").wait_for(timeout=SLOW)


def segmented(page: Page) -> None:
    """The Segment tab with an example, the pointer on the photo."""
    page.get_by_role("tab", name="Segment", exact=True).click(timeout=SLOW)
    page.locator("#examples").get_by_role("button", name="Tower").click(timeout=SLOW)
    page.locator("#status", has_text="pixels").wait_for(timeout=SLOW)
    fit(page)
    page.locator("[data-view=photo] .stage").hover()


def roles_switched(page: Page) -> None:
    """The Segment tab with one class switched to novel by hand, so that two models serve the picture."""
    segmented(page)
    page.locator("#roles").get_by_label("sky", exact=True).click(timeout=SLOW)
    page.locator("#status", has_text="serves").wait_for(timeout=SLOW)


def proposals(page: Page) -> None:
    """The Segment tab with the queries behind the picture."""
    segmented(page)
    page.get_by_role("button", name="Proposals").click(timeout=SLOW)
    page.locator("#proposals .proposals li").first.wait_for(timeout=SLOW)


def swiped(page: Page) -> None:
    """The Segment tab with two views in one, left and right of a line."""
    segmented(page)
    page.locator("[data-swipe-on]").click(timeout=SLOW)
    page.locator("figure.swipe").wait_for(timeout=SLOW)
    page.locator("figure.swipe .swipe-bar").fill("40")


def isolated(page: Page) -> None:
    """The Segment tab with the first class of the legend alone."""
    segmented(page)
    page.locator("[data-color]").first.click(timeout=SLOW)
    page.locator("[data-view=simformer] canvas").wait_for(timeout=SLOW)


def many_photos(page: Page) -> None:
    """The Segment tab after two photos at once."""
    segmented(page)
    page.get_by_role("button", name="Many photos at once").click(timeout=SLOW)
    files = [str(example.path) for example in list_examples() if example.name in ("Cat", "Flower")]
    page.locator("#many-files input[type=file]").set_input_files(files, timeout=SLOW)
    page.locator("#many-files", has_text="KB").wait_for(timeout=SLOW)
    page.get_by_role("button", name="Segment all").click(timeout=SLOW)
    page.get_by_text("2 of 2 photos segmented").wait_for(timeout=SLOW)


def compared(page: Page) -> None:
    """The Compare tab over the scenes, on a split in which one of their classes is novel."""
    page.get_by_role("tab", name="Compare", exact=True).click(timeout=SLOW)
    page.get_by_label("Split", exact=True).click(timeout=SLOW)
    page.get_by_role("option", name=shipped_choice("msrc21", COMPARED_SPLIT)).click(timeout=SLOW)
    page.wait_for_function(COMPARED, timeout=SLOW)


def compared_columns(page: Page) -> None:
    """Three columns of it."""
    compared(page)
    page.get_by_role("button", name="Columns, order, filters").click(timeout=SLOW)
    for name in ("FullyOracle", "SimFormer+"):
        page.locator("#compare-columns .token", has_text=name).locator(".token-remove").click(timeout=SLOW)
        page.wait_for_function(
            "name => !document.querySelector('.compare').dataset.query.includes(name)", arg=name, timeout=SLOW
        )
    page.wait_for_function(COMPARED, timeout=SLOW)


def compared_pair(page: Page) -> None:
    """Another pair, and the first row chosen for a figure."""
    compared(page)
    page.get_by_label("with", exact=True).click(timeout=SLOW)
    page.get_by_role("option", name="FullyOracle", exact=True).click(timeout=SLOW)
    page.wait_for_function("document.querySelector('.compare').dataset.query.includes('FullyOracle')", timeout=SLOW)
    page.wait_for_function(COMPARED, timeout=SLOW)
    page.locator(".compare-row [data-choose]").first.check(timeout=SLOW)


def results_bars(page: Page) -> None:
    """The Results tab as it opens."""
    page.get_by_role("tab", name="Results", exact=True).click(timeout=SLOW)
    page.locator("#results-plot .bars path").first.wait_for(state="attached", timeout=SLOW)


def results_classes(page: Page) -> None:
    """The Results tab, class by class."""
    results_bars(page)
    page.locator("#results-view").get_by_label("Classes by split").check()
    page.locator("#results-plot .heatmaplayer image").first.wait_for(state="attached", timeout=SLOW)


def annotation_cost(page: Page) -> None:
    """The Annotation cost tab as it opens."""
    page.get_by_role("tab", name="Annotation cost").click(timeout=SLOW)
    page.locator("#cost-scenarios table").wait_for(timeout=SLOW)
    page.wait_for_timeout(3000)


def own_plan(page: Page) -> None:
    """The same with a budget that leaves a choice."""
    annotation_cost(page)
    page.locator("#cost-budget input").fill("140", timeout=SLOW)
    page.keyboard.press("Tab")
    page.wait_for_timeout(12_000)


def own_data_check(page: Page) -> None:
    """The Own data tab over a few drawn scenes, as it opens."""
    page.get_by_role("tab", name="Own data").click(timeout=SLOW)
    page.locator("#own-check table.matrix").wait_for(timeout=SLOW)


def own_data_decide(page: Page) -> None:
    """Its costs."""
    own_data_check(page)
    page.get_by_role("tab", name="3. Decide").click(timeout=SLOW)
    page.locator("#own-decide table").wait_for(timeout=SLOW)


def own_data_measure(page: Page) -> None:
    """The commands of a training."""
    own_data_check(page)
    page.get_by_role("tab", name="4. Measure").click(timeout=SLOW)
    page.locator("#own-novel").get_by_label("cat", exact=True).check(timeout=SLOW)
    page.get_by_text("SimFormer+ learns cat").wait_for(timeout=SLOW)


def own_data(page: Page) -> None:
    """The Own data tab over a few drawn scenes, evaluated, one of them opened."""
    own_data_check(page)
    page.get_by_role("tab", name="2. Compare").click(timeout=SLOW)
    page.get_by_role("button", name="Evaluate all").click(timeout=SLOW)
    page.locator(".card", has_text="mIoU").first.click(timeout=SLOW)
    page.locator("#own-photo .compared").wait_for(timeout=SLOW)


def own_data_confused(page: Page) -> None:
    """The photos behind a cell of its confusion matrix."""
    own_data_check(page)
    page.get_by_role("tab", name="2. Compare").click(timeout=SLOW)
    page.get_by_role("button", name="Evaluate all").click(timeout=SLOW)
    page.locator("#own-matrix .confusions button").first.click(timeout=SLOW)
    page.get_by_text("most pixels first").wait_for(timeout=SLOW)


def about_tab(page: Page) -> None:
    """The About tab."""
    page.get_by_role("tab", name="About").click(timeout=SLOW)
    page.locator("svg.diagram").wait_for(timeout=SLOW)


# File name -> what to do before the picture is taken.
SCENES: dict[str, Callable[[Page], None]] = {
    "segment-empty": empty,
    "segment": segmented,
    "segment-roles": roles_switched,
    "segment-proposals": proposals,
    "segment-swipe": swiped,
    "segment-isolated": isolated,
    "segment-many": many_photos,
    "compare": compared,
    "compare-columns": compared_columns,
    "compare-pair": compared_pair,
    "results": results_bars,
    "results-classes": results_classes,
    "costs": annotation_cost,
    "own-plan": own_plan,
    "own-data-check": own_data_check,
    "own-data": own_data,
    "own-data-confused": own_data_confused,
    "own-data-decide": own_data_decide,
    "own-data-measure": own_data_measure,
    "about": about_tab,
}


def rooms(page: Page) -> None:
    """The Segment tab of NYUv2's page as it opens."""
    page.get_by_role("tab", name="Segment", exact=True).click(timeout=SLOW)
    page.locator("#status", has_text="pixels").wait_for(timeout=SLOW)


def rooms_compared(page: Page) -> None:
    """The Compare tab of NYUv2's page as it opens, all pictures made."""
    page.get_by_role("tab", name="Compare").click(timeout=SLOW)
    page.locator(".compare-row").first.wait_for(timeout=SLOW)
    page.locator(".compare-row[data-waiting]").first.wait_for(state="detached", timeout=SLOW)


def rooms_results(page: Page) -> None:
    """The Results tab of NYUv2's page as it opens."""
    page.get_by_role("tab", name="Results", exact=True).click(timeout=SLOW)
    page.locator("#results-runs details").first.wait_for(timeout=SLOW)
    page.locator("#results-plot .bars path").first.wait_for(state="attached", timeout=SLOW)


# The same of NYUv2's page, which is there without own data.
OF_NYUV2: dict[str, Callable[[Page], None]] = {
    "nyuv2-segment": rooms,
    "nyuv2-compare": rooms_compared,
    "nyuv2-results": rooms_results,
    "nyuv2-costs": annotation_cost,
    "nyuv2-about": about_tab,
}


def known_scenes(root: Path) -> Path:
    """Drawn scenes, labelled with the shipped models' classes: sky, grass and water; all else is void."""
    write_scenes(root, 12, size=(180, 240), val_share=0.5)
    drawn, known = (root / "classes.txt").read_text().split(), dataset_classes("msrc21")
    values = np.full(256, VOID, dtype=np.uint8)
    for index, name in enumerate(drawn):
        values[index] = known.index(name) if name in known else VOID
    for path in (root / "labels").iterdir():
        Image.fromarray(values[np.array(Image.open(path))]).save(path)
    (root / "classes.txt").write_text("\n".join(known))
    return root


def fit(page: Page) -> None:
    """Make the window as high as the page, so that a picture of the window shows all of it."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})


def take(browser: Browser, address: str, folder: Path, scenes: list[str], readme: bool) -> list[Path]:
    """A picture for each scene of the page at this address, width and theme; for the README wide, light and small."""
    files = []
    for scene in scenes:
        for theme in THEMES[:1] if readme else THEMES:
            for name, width in list(WIDTHS.items())[: 1 if readme else None]:
                page = browser.new_page(viewport={"width": width, "height": 900})
                page.goto(f"{address}?__theme={theme}", timeout=SLOW)
                (SCENES | OF_NYUV2)[scene](page)
                fit(page)
                files.append(folder / (f"{scene}.jpg" if readme else f"{scene}-{name}-{theme}.png"))
                page.wait_for_timeout(500)
                if readme:
                    height = min(page.viewport_size["height"], README_HEIGHT)
                    clip = {"x": 0, "y": 0, "width": width, "height": height}
                    page.screenshot(path=files[-1], type="jpeg", quality=75, clip=clip)
                else:
                    page.screenshot(path=files[-1])
                page.close()
    return files


def main(
    folder: Annotated[Path, typer.Argument(help="where the pictures go")],
    weights: Annotated[Path | None, typer.Option(help="folder of weights (default: the shipped ones)")] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"scene: {', '.join(SCENES | OF_NYUV2)}")] = None,
    data: Annotated[Path | None, typer.Option(help="folder data set to show (default: drawn scenes)")] = None,
    readme: Annotated[bool, typer.Option("--readme", help="wide and light, as JPEG, for README.md")] = False,
) -> None:
    """Start the page with a server of its own, and take the pictures; README's show own data only if --data does."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        own = [] if readme and not data else ["--data", str(data or known_scenes(Path(place) / "scenes"))]
        for scenes, options, path in ((SCENES, own, ""), (OF_NYUV2, [], "/nyuv2")):
            wanted = [scene for scene in scenes if scene in (only or scenes)]
            if wanted:
                with serve(weights, Path(place), options) as server, chromium() as browser:
                    for file in take(browser, server.address + path, folder, wanted, readme):
                        print(file)


if __name__ == "__main__":
    typer.run(main)
