"""What several commands make of their options: composed predictors, engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from simformer.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simformer.composition import ComposedPredictor

ENGINE_HELP = "What runs the network: torch, openvino (on a CPU), or auto: the faster of them here."


def composed_predictor(
    roles: str,
    classes: Sequence[str] | None,
    without: list[str],
    device: str | None,
    scales: tuple[float, ...] | None = None,
    flip: bool | None = None,
    engine: str = "torch",
) -> ComposedPredictor:
    """Roles composed from all shipped SimFormer models of these classes (None: the first model's) but `without`.

    A weights file that cannot be used is named on stderr and left out.

    Raises:
        ConfigError: a model in `without` is not shipped, there is none of these classes, or none can be served; the
            engine is none, or cannot run them.
        UnknownClassError: the roles are neither a split nor classes of the models.
    """
    from simformer.compare.columns import simformers
    from simformer.composition import ComposedPredictor, assign_models
    from simformer.inference.shared_backbone import SharedBackbones
    from simformer.predictor import Predictor
    from simformer.splits import named_roles
    from simformer.weights import available_models, full_name, readable_cards, weights_folder

    models = available_models()
    for name in without:
        if not {name, full_name(name)} & models.keys():
            raise ConfigError(f"there is no model {name!r} to leave out; there are {', '.join(models) or 'none'}")
    left_out = {name if name in models else full_name(name) for name in without}
    models = {name: path for name, path in models.items() if name not in left_out}
    cards, problems = readable_cards(models)
    networks = {name: card for name, card in cards.items() if card.kind == "simformer"}
    if classes is None:
        classes = next((card.classes for card in networks.values()), ())
    fitting = {name: card for name, card in networks.items() if card.classes == tuple(classes)}
    available = {name: fitting[name].roles for name in simformers(fitting)}
    predictors: dict[str, Predictor] = {}
    backbones, composed = SharedBackbones(), None
    while available and composed is None:
        card = fitting[next(iter(available))]
        wanted = named_roles(card.dataset, card.classes, roles)
        # Only those that will serve are loaded: role sets are many.
        used = assign_models(card.classes, wanted, available).used
        for name in used:
            try:
                predictors[name] = predictors.get(name) or Predictor.load(
                    models[name], device, scales=scales, flip=flip, exact=False, backbones=backbones, engine=engine
                )
            except CheckpointError as error:
                problems[name] = str(error)
                del available[name]
        if all(name in available for name in used):
            composed = ComposedPredictor({name: predictors[name] for name in used}, wanted)
    for problem in problems.values():
        typer.echo(f"Left out: {problem}", err=True)
    if composed is None:
        raise ConfigError(f"no SimFormer model in {weights_folder()} that could be composed knows just these classes")
    return composed
