"""Class roles on the Segment tab: every class is base or novel, by split or one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from simformer.errors import ConfigError
from simformer.splits import Roles
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.inputs import failure
from simformer.ui.parts.models import Choice, Models, title

SEGMENT_TAB = "segment"


class Sent(NamedTuple):
    """Roles from another tab; `number` makes the same roles sent again something new."""

    roles: Roles
    number: int


class RoleControls(NamedTuple):
    """`split` holds what `Models.find` reads; `masked` the classes that are base in it."""

    split: gr.Radio
    masked: gr.CheckboxGroup


def short_title(choice: Choice) -> str:
    """A SimFormer among SimFormers: "Split 2", "Your roles"."""
    text = title(choice).removeprefix("SimFormer, ")
    return text[:1].upper() + text[1:]


def masked_classes(models: Models, choice: Choice | None) -> list[str]:
    """Classes that are base in the chosen SimFormer."""
    return models.roles_of(choice).base_of(models.classes)


def split_choice(models: Models, choice: Choice | None) -> dict[str, Any]:
    """What the choice of SimFormer shows: the shipped ones, and the composed one if it is the chosen one."""
    choices = [(short_title(name), name) for name in models.simformers]
    if choice and choice not in models.simformers:
        choices.append((short_title(choice), str(choice)))
    return {"choices": choices, "value": choice and str(choice), "visible": len(choices) > 1}


def set_masked(models: Models, masked: Sequence[str]) -> gr.Radio:
    """The SimFormer with masks for just these classes: a shipped one if there is one, else one composed of several."""
    return gr.Radio(**split_choice(models, models.with_roles(Roles.with_base(models.classes, masked))))


def set_split(models: Models, split: str | None) -> gr.CheckboxGroup:
    """The classes one by one, as the chosen SimFormer has them."""
    return gr.CheckboxGroup(value=masked_classes(models, models.find(split)))


def take_roles(models: Models, sent: Sent | None) -> tuple[Any, Any]:
    """Both controls for the roles another tab sent; None changes nothing.

    Raises:
        gr.Error: the models are of other classes.
    """
    if sent is None:
        return gr.skip(), gr.skip()
    roles = sent.roles
    if len(roles) != len(models.classes):
        known = len(models.classes)
        raise failure(ConfigError(f"The plan is for {len(roles)} classes, but the models here know {known} others"))
    return both_controls(models, models.with_roles(roles))


def both_controls(models: Models, choice: Choice) -> tuple[gr.Radio, gr.CheckboxGroup]:
    """The two controls with this choice."""
    return gr.Radio(**split_choice(models, choice)), gr.CheckboxGroup(value=masked_classes(models, choice))


def read_roles(models: Models, text: str) -> tuple[gr.Radio, gr.CheckboxGroup] | None:
    """Both controls for what the page's address asks for: a shipped SimFormer's name, or roles; None for neither."""
    choice = models.find(text)
    if isinstance(choice, Roles):
        return both_controls(models, models.with_roles(choice))
    return both_controls(models, choice) if choice in models.simformers else None


def build(models: Models) -> RoleControls:
    """The controls, in the context that is open."""
    first = models.simformers[0] if models.simformers else None
    split = gr.Radio(
        **split_choice(models, first),
        label="Which classes had masks",
        info="One SimFormer a split: what is base in one is novel in another.",
        elem_id="split",
    )
    with gr.Accordion("Class roles, one by one", open=True, visible=bool(models.simformers), elem_id="roles-section"):
        masked = gr.CheckboxGroup(
            list(models.classes),
            value=masked_classes(models, first),
            label="Base: learnt from masks",
            info="The others are novel: learnt from image labels. Other roles than a split's are put together from "
            "the models in which the classes had them.",
            elem_id="roles",
            elem_classes="many",
        )
    return RoleControls(split, masked)


def connect(context: PageContext, controls: RoleControls, run: Callable[[Any], Any]) -> list[Any]:
    """Events between the controls, and from the address and other tabs to them.

    Args:
        run: makes an event's end, given as what can be followed up by `.then`, segment the photo again.

    Returns:
        What `run` made.
    """
    models, sent = context.models, context.sent
    split, masked = controls
    context.address.hold("roles", split, [split, masked], partial(read_roles, models))
    return [
        run(listen(masked.input, partial(set_masked, models), masked, split, last=True)),
        run(listen(split.input, partial(set_split, models), split, masked)),
        run(listen(sent.change, partial(take_roles, models), sent, [split, masked])),
    ]
