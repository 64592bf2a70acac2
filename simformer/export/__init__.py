"""Label maps in the formats of annotation tools.

The page, the API and the command line all go through `FORMATS`: one entry a format, one way to write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simformer.errors import ConfigError
from simformer.export import coco, cvat, label_png, label_studio, labelme
from simformer.export.annotation import Annotation, check_classes, check_labels
from simformer.export.components import without_small
from simformer.utils.files import make_folder

__all__ = ["FORMATS", "Annotation", "Format", "find_format"]


@dataclass(frozen=True)
class Format:
    """A file format that an annotation tool imports.

    Attributes:
        name: what the command line and the API call it.
        label: what people call it.
        extension: of the file to write, such as ".json".
        folder: whether it is a tree of files, which may be written as a folder instead of a .zip.
        writer: writes checked annotations; use `write`, which checks them.
    """

    name: str
    label: str
    extension: str
    folder: bool
    writer: Callable[[Iterable[Annotation], Sequence[str], Path], list[Path]]

    def write(
        self,
        annotations: Iterable[Annotation],
        classes: Sequence[str],
        out_path: str | Path,
        *,
        min_area: int = 1,
    ) -> list[Path]:
        """Write label maps; they are read one at a time, so that an iterator needs memory for one photo.

        Args:
            annotations: label maps with the names of their photos.
            classes: 1 to 255 class names in the order of their indices.
            out_path: file with the format's extension, or for a tree any other name, which becomes a folder.
                It is replaced; missing folders are made. Each file appears only once it is whole.
            min_area: connected components of fewer pixels are left out, as if the pixels were unsure.

        Returns:
            The files written.

        Raises:
            SimFormerError: a label without a class, names that clash or that the format has no way to write,
                a path with another extension, a disk that is full.
        """
        out = Path(out_path)
        check_classes(classes)
        if min_area < 1:
            raise ConfigError(f"the smallest area to keep is at least 1 pixel, not {min_area}")
        if out.suffix.lower() != self.extension and not self.folder:
            raise ConfigError(f"{self.label} is written to a {self.extension} file, which {out} is not")
        if out.is_dir() and out.suffix.lower() == self.extension:
            raise ConfigError(f"{out} is a folder; a file is to be written there")
        make_folder(out.parent)
        return self.writer(_checked(annotations, classes, min_area), classes, out)


def _checked(annotations: Iterable[Annotation], classes: Sequence[str], min_area: int) -> Iterator[Annotation]:
    for annotation in annotations:
        check_labels(annotation, classes)
        if min_area > 1:
            labels = without_small(annotation.labels, min_area)
            annotation = replace(annotation, labels=labels)
        yield annotation


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("png", "Label PNGs and class CSV", ".zip", True, label_png.write),
        Format("coco", "COCO JSON", ".json", False, coco.write),
        Format("cvat", "CVAT segmentation mask 1.1", ".zip", False, cvat.write),
        Format("labelme", "labelme JSON", ".zip", True, labelme.write),
        Format("label-studio", "Label Studio JSON", ".json", False, label_studio.write),
    )
}


def find_format(name: str) -> Format:
    """The format of that name; ConfigError, which lists the names, if there is none."""
    if name not in FORMATS:
        raise ConfigError(f"there is no export format {name!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]
