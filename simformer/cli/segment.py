"""segment: label maps and tables of photos, and of folders of photos."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simformer.cli.predictors import ENGINE_HELP, composed_predictor
from simformer.errors import ConfigError, SimFormerError

if TYPE_CHECKING:
    from simformer.batch.cluster import Cluster
    from simformer.batch.find import PhotoFile
    from simformer.batch.outputs import MadeFrom
    from simformer.batch.run import Job
    from simformer.composition import ComposedPredictor
    from simformer.export import Annotation, Format
    from simformer.predictor import Predictor

EXPORT_NAME = "annotations"


def segment(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO_OR_DIR...", help="Photos to segment, and folders of photos.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; made where it does not exist.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Folders in the folders, too; OUT gets the same folders.")
    ] = False,
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="Also write OUT/annotations for: png, coco, cvat, labelme, label-studio."),
    ] = None,
    min_area: Annotated[int, typer.Option(min=1, help="With --format: leave out regions of fewer pixels.")] = 1,
    again: Annotated[bool, typer.Option("--again", help="Redo photos whose results are there.")] = False,
    weights: Annotated[
        str | None, typer.Option(help="A shipped model (split1, cam, oracle) or a weights file; by default split1.")
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(help="Instead of --weights: a split (s2) or novel classes (cat,dog), composed of shipped models."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="With --roles: whose classes they name: msrc21 or nyuv2."),
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, help="Pixels whose best score is below it are unsure.")] = 0.0,
    exact: Annotated[
        bool | None,
        typer.Option(help="Full-resolution label maps, as the paper defines them; default: as the weights say."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")] = None,
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "torch",
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Photos of equal size at once; by default 8 on a GPU, 1 on a CPU."),
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Photos of more pixels are refused.")] = 50_000_000,
    ray_address: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Spread over a Ray cluster: HOST:PORT, auto, or local."),
    ] = None,
) -> None:
    """Write NAME.png (class indices, 255 = unsure) and NAME.json (table) per photo.

    A photo that fails is reported, the others are still done, and the exit status
    is 1. An interrupted run goes on where it stopped: results that are there from
    the same photo, weights and options are not made again.
    """
    from simformer.batch.find import find_photos
    from simformer.batch.outputs import digest
    from simformer.predictor import Predictor
    from simformer.splits import dataset_classes
    from simformer.utils.files import make_folder
    from simformer.weights import find_weights

    _check_roles(roles, dataset, weights, exact, several=ray_address is not None or batch is not None)
    if ray_address is not None and engine != "torch":
        raise ConfigError("--engine is for this machine; on a Ray cluster leave it out")
    export = None if format_name is None else find_export(format_name, out, min_area)
    if export is None and min_area > 1:
        raise ConfigError("--min-area is for an export; choose one with --format")
    found, problems = find_photos(photos, out, recursive=recursive)
    report = Report()
    for path, sentence in problems:
        report.failure(path, "was not segmented", sentence)
    if found:
        make_folder(out)
        with ExitStack() as stack:
            if roles is not None:
                classes = None if dataset is None else dataset_classes(dataset)
                composed = composed_predictor(roles, classes, [], device, engine=engine)
                first = next(iter(composed.predictors.values()))
                run = RolesRun(first, roles_digest(composed), threshold, out, report, batch, max_pixels, composed)
            else:
                file = find_weights(weights or "split1")
                if ray_address is None:
                    predictor = Predictor.load(file, device, exact=exact, engine=engine)
                    run = Run(predictor, digest(file), threshold, out, report, batch, max_pixels)
                else:
                    from simformer.batch.cluster import connected

                    predictor = Predictor.load(file, "cpu", exact=exact)  # for its classes, and a check of the weights
                    cluster = stack.enter_context(connected(ray_address, device))
                    run = ClusterRun(
                        predictor, digest(file), threshold, out, report, batch, max_pixels, cluster, file, device
                    )
            finished = run.segment(found, again=again, export=export)
        if export is not None and finished:
            export.write(finished, run.predictor.classes, out, report)
    if report.failures:
        raise typer.Exit(1)


def _check_roles(
    roles: str | None, dataset: str | None, weights: str | None, exact: bool | None, *, several: bool
) -> None:
    """What goes with --roles and what does not. `several`: --ray or --batch is given. Raises ConfigError."""
    if roles is None:
        if dataset is not None:
            raise ConfigError("--dataset says whose classes --roles names; weights know theirs")
        return
    if weights is not None:
        raise ConfigError("give either --weights or --roles")
    if exact:
        raise ConfigError("--exact is for --weights: roles are composed at a quarter of the resolution")
    if several:
        raise ConfigError("--roles asks several models one photo after another: leave out --ray and --batch")


class Report:
    """Lines on stdout and stderr that leave the progress bar whole, and a count of what failed."""

    def __init__(self) -> None:
        self.failures = 0

    def line(self, text: str, *, error: bool = False) -> None:
        from tqdm import tqdm

        # A file's name may hold bytes that are no text.
        tqdm.write(text.encode(errors="replace").decode(), file=sys.stderr if error else sys.stdout)

    def failure(self, path: Path, what: str, reason: object) -> None:
        """One sentence on stderr, in which the path stands once."""
        self.failures += 1
        text = str(reason)
        if text.startswith(f"{path} "):
            text = f"it {text.removeprefix(f'{path} ')}"
        self.line(f"{path} {what}: {text}", error=True)


@dataclass
class Run:
    """The photos of one command with one model.

    Attributes:
        predictor: the model. weights: SHA-256 of its file.
        out: folder of the results.
        batch: photos that the network sees at once, at most; None: what its device is best at.
        max_pixels: of a photo.
    """

    predictor: Predictor
    weights: str
    threshold: float
    out: Path
    report: Report
    batch: int | None
    max_pixels: int

    def segment(self, photos: list[PhotoFile], *, again: bool, export: Export | None) -> list[PhotoFile]:
        """Segment the photos whose results are not there, or all; returns those that have results in the end."""
        from tqdm import tqdm

        from simformer.batch.outputs import is_done, made_from

        how = (self.weights, self.threshold, self.predictor.inference.exact, self.predictor.engine)
        origins = {photo: made_from(photo.path, *how) for photo in photos}
        done = {
            photo: None for photo in photos if not again and is_done(self.out / photo.stem, photo.name, origins[photo])
        }
        if done:
            self.report.line(f"{len(done)} of {len(photos)} photos are done already; --again would redo them.")
        names = Names(self.out, photos)
        if export is not None:
            names.take(export.path.stem, export.path)
        for photo in done:
            names.take(photo.stem, photo.path)
        todo = [photo for photo in photos if photo not in done]
        bar = tqdm(total=len(todo), unit="photo", disable=None)
        for turn in distinct(todo):
            for photo, outcome in self._checked(turn, names, origins):
                bar.update()
                if isinstance(outcome, Exception):
                    self.report.failure(photo.path, "was not segmented", outcome)
                    continue
                names.take(photo.stem, photo.path)
                done[photo] = None
                self.report.line(f"{photo.path}: {outcome}")
        bar.close()
        return [photo for photo in photos if photo in done]

    def _checked(
        self, photos: list[PhotoFile], names: Names, origins: dict[PhotoFile, MadeFrom | None]
    ) -> Iterator[tuple[PhotoFile, str | Exception]]:
        """Each photo with a line about it or what went wrong; none is begun whose name is refused."""
        from simformer.batch.run import Job

        ready: dict[Job, PhotoFile] = {}
        for photo in photos:
            try:
                names.check(photo)
            except SimFormerError as error:
                yield photo, error
            else:
                job = Job(photo.path, self.out / photo.stem, photo.name, origins[photo], self.max_pixels)
                ready[job] = photo
        for job, outcome in self.spread(list(ready)):
            yield ready[job], outcome

    def spread(self, jobs: list[Job]) -> Iterator[tuple[Job, str | Exception]]:
        """Each job with a line about it or what went wrong, in the order in which they are done."""
        from simformer.batch.run import default_batch, segment_jobs

        batch = self.batch or default_batch(self.predictor)
        return segment_jobs(self.predictor, jobs, self.threshold, batch)


@dataclass
class RolesRun(Run):
    """The same with roles that several models serve; `predictor` is one of them.

    Attributes:
        composed: all of them.
    """

    composed: ComposedPredictor

    def spread(self, jobs: list[Job]) -> Iterator[tuple[Job, str | Exception]]:
        from simformer.batch.run import a_photo_a_thread

        return a_photo_a_thread(self.composed, jobs, self.threshold)


def roles_digest(composed: ComposedPredictor) -> str:
    """SHA-256, in hex, of what the results depend on: the models at work, and which of them serves which class."""
    from simformer.batch.outputs import digest
    from simformer.weights import find_weights

    files = {name: digest(find_weights(name)) for name in composed.predictors}
    return hashlib.sha256(json.dumps([files, composed.assignment.models]).encode()).hexdigest()


@dataclass
class ClusterRun(Run):
    """The same on a Ray cluster, whose workers read the photos and write the results.

    Attributes:
        cluster: the cluster.
        weights_file, device: what its workers load.
    """

    cluster: Cluster
    weights_file: Path
    device: str | None

    def spread(self, jobs: list[Job]) -> Iterator[tuple[Job, str | Exception]]:
        from simformer.batch.cluster import segment_on

        if jobs:
            # A worker has another working directory.
            absolute = [replace(job, path=job.path.absolute(), stem=job.stem.absolute()) for job in jobs]
            outcomes = segment_on(
                self.cluster,
                absolute,
                self.weights_file,
                self.device,
                self.threshold,
                self.batch,
                self.predictor.inference.exact,
            )
            yield from ((jobs[index], outcome) for index, outcome in outcomes)


def distinct(photos: list[PhotoFile]) -> Iterator[list[PhotoFile]]:
    """The photos in turns, of which none has two whose results would replace each other.

    The second of a name waits until it is known whether the first one failed.
    """
    while photos:
        first: dict[str, PhotoFile] = {}
        for photo in photos:
            first.setdefault(photo.stem.casefold(), photo)
        yield list(first.values())
        photos = [photo for photo in photos if first[photo.stem.casefold()] is not photo]


class Names:
    """Which results would replace which: names are told apart without case, as some systems do."""

    def __init__(self, out: Path, photos: Iterable[PhotoFile]):
        self.out = out
        self.photos = {os.path.realpath(photo.path) for photo in photos}
        self.taken: dict[str, Path] = {}

    def take(self, stem: str, path: Path) -> None:
        """The results of the photo `path` are at STEM now."""
        self.taken[stem.casefold()] = path

    def check(self, photo: PhotoFile) -> None:
        """Raise SimFormerError where the photo's results would replace another's, or a photo."""
        from simformer.batch.outputs import label_file

        earlier = self.taken.get(photo.stem.casefold())
        if earlier is not None:
            raise SimFormerError(f"its results would replace those of {earlier}, which has the same name")
        target = os.path.realpath(label_file(self.out / photo.stem))
        if target in self.photos:
            raise SimFormerError(f"its label map would replace the photo {target}; choose another folder with --out")
        if not photo.name.isprintable():
            raise SimFormerError("its name holds characters that cannot be printed; rename it")


@dataclass(frozen=True)
class Export:
    """The file for an annotation tool that is made of the label maps in the end.

    Attributes:
        path: the file.
        min_area: regions of fewer pixels are left out.
    """

    target: Format
    path: Path
    min_area: int

    def write(self, photos: list[PhotoFile], classes: tuple[str, ...], out: Path, report: Report) -> None:
        """Read the photos' label maps one by one and write the file."""
        from tqdm import tqdm

        bar = tqdm(photos, desc=self.target.label, unit="photo", disable=None)
        files = self.target.write(_label_maps(bar, out, report), classes, self.path, min_area=self.min_area)
        report.line(f"{self.target.label}: {', '.join(map(str, files))}")


def find_export(format_name: str, out: Path, min_area: int) -> Export:
    """The export of that name. ConfigError if there is none."""
    from simformer.export import find_format

    target = find_format(format_name)
    return Export(target, out / f"{EXPORT_NAME}.{target.name}{target.extension}", min_area)


def _label_maps(photos: Iterable[PhotoFile], out: Path, report: Report) -> Iterator[Annotation]:
    from simformer.batch.outputs import label_file
    from simformer.export import Annotation
    from simformer.labels import read_label_png

    for photo in photos:
        try:
            yield Annotation(photo.name, read_label_png(label_file(out / photo.stem)))
        except SimFormerError as error:
            report.failure(photo.path, "is not in the export", error)
