"""The shipped models: loaded once in the background, asked photo by photo, their answers remembered for a while."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from PIL import Image

from simformer.compare.columns import simformers
from simformer.errors import CheckpointError
from simformer.inference.familiarity import read_familiarity
from simformer.results import is_role_set
from simformer.splits import ROLE_SET, Roles
from simformer.ui.parts.cache import Cache
from simformer.ui.parts.photos import Photo, Shown, show
from simformer.ui.parts.zerogpu import on_gpu, on_zerogpu
from simformer.weights import (
    available_models,
    models_of,
    readable_cards,
    short_name,
    shown_dataset,
    weights_folder,
)

if TYPE_CHECKING:
    from simformer.composition import ComposedPredictor, Segmenter
    from simformer.inference.shared_backbone import SharedBackbones
    from simformer.predictor import Predictor
    from simformer.segmentation import Segmentation

CAM, ORACLE = "cam", "oracle"
# Not a model but a kind: the one of the chosen split.
SIMFORMER = "simformer"
# A model by its name, or roles for which several are composed.
Choice = str | Roles
# Answers for about ten photos. Losing one costs a tenth of a second, so more memory would be wasted.
CACHE_BYTES = 96 * 2**20
WAITING_SECONDS = 0.3
FIRST_SPLIT = "s1"
TRAINING = {
    CAM: "python -m train train/configs/{dataset}_cam.yaml",
    ORACLE: "python -m train train/configs/{dataset}.yaml split=all_base",
    FIRST_SPLIT: "python -m train train/configs/{dataset}.yaml",
}
"""How to train what is missing, of these data sets:"""
TRAINED = ("msrc21", "nyuv2")
# What models of other methods add to the name of the split.
VARIANTS = {
    "plus": "SimFormer+", "retab": "RETAB", "basic": "Basic Model", "wsss_cam": "WSSS (CAM)", "wsss_rib": "WSSS (RIB)",
}  # fmt: skip


def title(choice: Choice) -> str:
    """What people call a model: "s1" is "SimFormer, split 1", "r07-c870_plus" is "SimFormer+, role set r07-c870"."""
    if isinstance(choice, Roles):
        return "SimFormer, your roles"
    known = {CAM: "CAM", ORACLE: "FullyOracle", SIMFORMER: "SimFormer"}
    split, _, after = short_name(choice).partition("_")
    before, split, after = (split, after, "") if split in VARIANTS else ("", split, after)
    if re.fullmatch(rf"s\d+|{ROLE_SET}", split) and (before or after) in ("", *VARIANTS):
        roles = f"split {split[1:]}" if split.startswith("s") else f"role set {split}"
        return f"{VARIANTS.get(before or after, 'SimFormer')}, {roles}"
    return known.get(choice, choice)


@cache
def shared_backbones() -> SharedBackbones:
    """Those of the models of all data sets, which may be of the same."""
    # Only here: it imports torch, for which the page would have to wait.
    from simformer.inference.shared_backbone import SharedBackbones

    return SharedBackbones()


class Models:
    """One data set's models by name. Nothing is loaded before `start`.

    Args:
        names: "cam", "oracle", and the SimFormers: every other name. None takes all that there are.
        folder: theirs in the weights folder. None: as `shown_dataset`, for `classes` if they are given.
        own: weights files by name that stand in no weights folder. They come first; where no folder has models of
            `classes`, they are alone.
        engine: what runs them, as `Predictor.load`.

    Attributes:
        simformers: names of the SimFormers, one a role set; another method's model stands in where none has its roles.
        role_sets: those of them that serve composed roles and stand in no menu: trained with roles that are no split's.
        left_out: names of models of other classes than most have; they cannot stand beside the others on one page.
        dataset: of whose classes they are, such as "msrc21"; "" if there is no model.
        familiarity: from which familiarity on a photo shows something known; None where it was not fitted.
        damaged: for models whose files cannot be used the sentence that says why, as far as it is known.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        folder: str | None = None,
        classes: Sequence[str] | None = None,
        own: Mapping[str, Path] | None = None,
        engine: str = "torch",
    ):
        self.folder = shown_dataset(classes) if folder is None else folder
        self._engine = engine
        self._files = self._with_own(own or {}, classes if folder is None else None)
        self.familiarity = read_familiarity(weights_folder() / self.folder)
        if folder and not self._files:
            there = ", ".join(available_models()) or "none"
            raise CheckpointError(f"there are no models of {folder} in {weights_folder()} (there: {there})")
        names = tuple(self._files if names is None else names)
        cards, self.damaged = readable_cards({name: self._files[name] for name in names if name in self._files})
        self._roles = {name: dict(zip(card.classes, card.roles, strict=True)) for name, card in cards.items()}
        shared = Counter(card.classes for card in cards.values()).most_common(1)
        self.left_out = tuple(name for name, card in cards.items() if card.classes != shared[0][0])
        self.dataset = next((card.dataset for card in cards.values() if card.classes == shared[0][0]), "")
        self.names = tuple(name for name in names if name not in (*self.left_out, *self.damaged))
        self.simformers = simformers({name: cards[name] for name in self.names if name not in (CAM, ORACLE)})
        self.role_sets = tuple(n for n in self.simformers if is_role_set(cards[n].dataset, cards[n].split))
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-models")
        self._loading: dict[str, Future[Predictor]] = {}
        self._starting = Lock()
        self._segmentations: Cache[Segmentation] = Cache(CACHE_BYTES)
        self._shown: Cache[Shown] = Cache(CACHE_BYTES // 8)
        self._predict = on_gpu(self._predict_here)

    def _with_own(self, own: Mapping[str, Path], classes: Sequence[str] | None) -> dict[str, Path]:
        shipped = models_of(self.folder)
        if not own:
            return shipped
        cards = readable_cards(shipped)[0].values()
        fits = classes is None or any(card.classes == tuple(classes) for card in cards)
        return {**own, **shipped} if fits else dict(own)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the SimFormers, the same of all; empty if there is none."""
        return tuple(next((self._roles[name] for name in self.simformers if self._roles.get(name)), {}))

    def find(self, text: str | None) -> Choice | None:
        """The model of that name, or the roles in a text that can be composed; None if there is neither."""
        roles = Roles.parse(text)
        if roles is not None and self._parts and len(roles) == len(self.classes):
            return roles
        name = self._name(text or "")
        return name if name in self.names else None

    def _name(self, name: str) -> str:
        """A split is known by both its names."""
        return next((known for known in (name, short_name(name)) if known in self.names), name)

    def roles_of(self, choice: Choice | None) -> Roles:
        """Role of each of `classes` in a SimFormer; all base for other models."""
        if isinstance(choice, Roles):
            return choice
        known = self._roles.get(choice or "", {}) if choice in self.simformers else {}
        return Roles(known.get(each, "base") for each in self.classes)

    def _part_roles(self, name: str) -> tuple[str, ...]:
        """Role of each of `classes` in a model that can be composed."""
        return tuple(self._roles.get(name, {}).get(each, "base") for each in self.classes)

    def with_roles(self, roles: Roles) -> Choice:
        """The SimFormer that was trained with these roles; if there is none, the roles, to be composed."""
        fitting = (name for name in self.simformers if self._roles.get(name) and self.roles_of(name) == roles)
        return next(fitting, roles)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the page would like to show and is not there: "s1" (if no SimFormer is), "cam", "oracle"."""
        wanted = (() if self.simformers else (FIRST_SPLIT,)) + (CAM, ORACLE)
        return tuple(name for name in wanted if name not in (*self.names, *self.damaged))

    def segmenter(self, choice: Choice) -> Segmenter:
        """What segments photos of the page (`Photo`) and remembers its answers; waits for the models.

        Raises:
            CheckpointError: the model cannot be used. ConfigError: no model had any class in the wanted role.
        """
        return self.composed(choice) if isinstance(choice, Roles) else PageModel(self, self._name(choice))

    def composed(self, roles: Roles) -> ComposedPredictor[PageModel]:
        """The same for roles of one's own. A model that cannot be used serves no class."""
        from simformer.composition import ComposedPredictor

        while True:
            parts, names = {}, self._needed(roles)
            with suppress(CheckpointError):  # it is known as damaged from now on: the others are asked
                parts = {name: PageModel(self, name) for name in names}
            if len(parts) == len(names):
                return ComposedPredictor(parts, roles)

    @property
    def offered(self) -> tuple[str, ...]:
        """The SimFormers that menus list: those of splits, and trainings of one's own."""
        return tuple(name for name in self.simformers if name not in self.role_sets)

    @property
    def _parts(self) -> tuple[str, ...]:
        """The models that can be composed: the SimFormers, and the one that had all masks."""
        return tuple(name for name in self.names if name == ORACLE or name in self.simformers)

    def start(self) -> None:
        """Begin to load: first what most visitors see first. Returns at once, except on a ZeroGPU Space.

        The first request does it, if nobody has. Role sets wait until roles are composed of them.
        """
        with self._starting:
            if not self._loading:
                self._start()

    def _start(self) -> None:
        first = [*self.offered[:1], *(name for name in (CAM, ORACLE) if name in self.names)]
        for name in dict.fromkeys((*first, *self.names)):
            if name not in self.role_sets or on_zerogpu():
                self._loading[name] = self._pool.submit(self._load, self._files.get(name, name))
        if on_zerogpu():
            wait(self._loading.values())

    def close(self) -> None:
        """Load nothing more. Waits for the model that is being read."""
        self._pool.shutdown(cancel_futures=True)

    def waiting(self, choice: Choice) -> Iterator[str]:
        """Progress in words, again and again until the model is loaded or has failed to load."""
        needed = [self._future(name) for name in self._needed(choice)]
        while not all(future.done() for future in needed):
            ready = sum(future.done() for future in self._loading.values())
            yield f"The models are being loaded: {ready} of {len(self._loading)} are ready."
            wait(needed, timeout=WAITING_SECONDS)

    def predictor(self, name: str) -> Predictor:
        """The loaded model; waits for it. Raises CheckpointError if there is none, or its file cannot be used."""
        name = self._name(name)
        try:
            return self._future(name).result()
        except CheckpointError as error:
            if name in self.names:
                self.damaged[name] = str(error)
            raise

    def shown(self, photo: Photo) -> Shown:
        """The picture of a photo for the page. Raises ImageError."""
        known = self._shown.get(photo.key)
        if known is None:
            known = show(photo.image)
            self._shown.put(photo.key, known, len(known.uri))
        return known

    def knows(self, choice: Choice, photo: Photo) -> bool:
        """Whether `segment` would answer without running a network, or waiting for one."""
        if not all(self._future(name).done() for name in self._needed(choice)):
            return False
        return all(self._segmentations.get((name, photo.key)) is not None for name in self._needed(choice))

    def segment(self, choice: Choice, photo: Photo, left_out: float = 0.0) -> Segmentation:
        """One model's segmentation; its label map has the size of the picture on the page.

        The score maps are those that `Predictor.segment` gives of the whole photo.

        Args:
            left_out: percent of the pixels, the least certain ones, that are unsure, 255; another one runs no network.

        Raises:
            CheckpointError: the model cannot be used. ImageError: the photo cannot be read.
            ConfigError: no model had any class in the wanted role.
        """
        found = self.segmenter(choice).segment(photo)
        return found.with_threshold(found.least_certain(left_out / 100)) if left_out else found

    def _needed(self, choice: Choice) -> tuple[str, ...]:
        """The models that a choice asks, by their cards: nothing is loaded."""
        if not isinstance(choice, Roles):
            return (choice,)
        from simformer.composition import assign_models

        roles = {name: self._part_roles(name) for name in self._parts if name not in self.damaged}
        return assign_models(self.classes, choice, roles).used

    def _remembered(self, name: str, photo: Photo) -> Segmentation:
        """A model's segmentation of a photo, without a threshold."""
        known = self._segmentations.get((name, photo.key))
        if known is None:
            from simformer.inference.resampling import labels_from_scores
            from simformer.predictor import input_size

            size = input_size(photo.image.size, self.predictor(name).card.image_size)
            # At the network's input size already: no label map of many megapixels that nobody looks at.
            found = self._predict(name, photo.image.resize(size, Image.Resampling.BILINEAR))
            known = replace(found, labels=labels_from_scores(found.score_maps, self.shown(photo).size))
            self._segmentations.put((name, photo.key), known, _bytes(known))
        return known

    def _load(self, name_or_path: str | Path) -> Predictor:
        from simformer.predictor import Predictor

        return Predictor.load(name_or_path, backbones=shared_backbones(), engine=self._engine)

    def _predict_here(self, name: str, image: Image.Image) -> Segmentation:
        return self.predictor(name).segment(image)

    def _future(self, name: str) -> Future[Predictor]:
        self.start()
        if name in self.damaged and name not in self.names:
            raise CheckpointError(self.damaged[name])
        with self._starting:
            if name in self.role_sets and name not in self._loading:
                self._loading[name] = self._pool.submit(self._load, self._files[name])
        if name not in self._loading:
            there = ", ".join(self.names) or "none"
            raise CheckpointError(f"there is no model {name!r} here; there is {there}")
        return self._loading[name]


class PageModel:
    """One model as a `Segmenter` of the page's photos; what it has answered is remembered.

    Raises:
        CheckpointError: the model cannot be used.
    """

    def __init__(self, models: Models, name: str):
        predictor = models.predictor(name)
        self.name, self.device = name, predictor.device
        self.classes, self.roles = predictor.classes, predictor.roles
        self._models = models

    def segment(self, image: Photo, *, threshold: float = 0.0) -> Segmentation:
        """As `Models.segment`."""
        known = self._models._remembered(self.name, image)
        return known.with_threshold(threshold) if threshold else known


def _bytes(segmentation: Segmentation) -> int:
    arrays = [segmentation.labels, segmentation.score_maps]
    if segmentation.queries is not None:
        arrays += [segmentation.queries.class_scores, segmentation.queries.masks]
    return sum(array.nbytes for array in arrays)
