"""Class roles on the Segment tab: every class is base or novel, by split or one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    """`masked` holds the classes that are base, and alone counts; `split` says whose roles these are.

    Of several SimFormers with the same roles `split` is the one to be shown.
    """

    split: gr.Radio
    masked: gr.CheckboxGroup


OWN_ROLES = "own"
MOST_NAMED = 10
# The two controls follow each other in the browser: nothing is asked of the server that could come late.
SPLIT_OF = """(masked, split) => {
  const splits = %s, names = Object.keys(splits);
  const same = (name) => splits[name].length === masked.length && splits[name].every((each) => masked.includes(each));
  return names.includes(split) && same(split) ? split : names.find(same) ?? "own";
}"""
MASKED_OF = """(split, masked) => {
  const splits = %s;
  if (split in splits) return [splits[split]];
  document.querySelector("#roles input")?.focus();
  return [masked];
}"""
# What links hold: the shipped SimFormer with these roles, or the roles as `Roles` writes them.
TEXT_OF = """(masked, split) => {
  const of = (%s)(masked, split);
  return of !== "own" ? of : "roles-" + %s.map((name) => (masked.includes(name) ? "b" : "n")).join("");
}"""


def short_title(choice: Choice) -> str:
    """A SimFormer among SimFormers: "Split 2", "Your roles"."""
    text = title(choice).removeprefix("SimFormer, ")
    return text[:1].upper() + text[1:]


def roles_title(choice: Choice) -> str:
    """The roles of a model, whoever learnt them: "Split 6", SimFormer+'s, too."""
    text = title(choice).rpartition(", ")[2]
    return text[:1].upper() + text[1:]


def masked_classes(models: Models, choice: Choice | None) -> list[str]:
    """Classes that are base in the chosen SimFormer."""
    return models.roles_of(choice).base_of(models.classes)


def masks_sentence(classes: Sequence[str], masked: Sequence[str]) -> str:
    """Which classes had masks, by naming the novel ones as long as these are few."""
    novel = [name for name in classes if name not in masked]
    if not novel or not masked:
        return "All of them: no class is novel." if not novel else "None of them: every class is novel."
    if len(novel) > MOST_NAMED:
        return f"{len(masked)} of {len(classes)}; the others are novel."
    named = ", ".join(novel[:-1]) + " and " + novel[-1] if novel[1:] else novel[0]
    return f"All but {named}, novel here."


def chosen_text(models: Models, masked: Sequence[str], split: str | None) -> str | None:
    """The SimFormer with masks for just these classes, as `Models.find` reads it; None if there is no SimFormer.

    It is `split` if that was trained with these roles, another shipped one if that was, else one composed of several.
    """
    roles = Roles.with_base(models.classes, masked)
    if split in models.simformers and models.roles_of(split) == roles:
        return split
    return str(models.with_roles(roles)) if models.simformers else None


def splits_json(models: Models) -> str:
    """The shipped SimFormers with their base classes, as JavaScript."""
    return json.dumps({name: masked_classes(models, name) for name in models.offered})


def take_roles(models: Models, sent: Sent | None) -> Any:
    """The base classes of the roles that another tab sent; None changes nothing.

    Raises:
        gr.Error: the models are of other classes.
    """
    if sent is None:
        return gr.skip()
    wanted, known = len(sent.roles), len(models.classes)
    if wanted != known:
        raise failure(ConfigError(f"The plan is for {wanted} classes, but the models here know {known} others"))
    return sent.roles.base_of(models.classes)


def read_roles(models: Models, text: str) -> list[Any] | None:
    """Values of both controls for what the page's address asks for: a SimFormer's name, or roles; None for neither."""
    choice = models.find(text)
    if isinstance(choice, Roles):
        choice = models.with_roles(choice)
    elif choice not in models.offered:
        return None
    return [choice if choice in models.offered else OWN_ROLES, masked_classes(models, choice)]


def build_split(models: Models) -> gr.Radio:
    """The choice of a split, in the context that is open."""
    first = next(iter(models.offered), None)
    return gr.Radio(
        [*((roles_title(name), name) for name in models.offered), ("Your roles", OWN_ROLES)],
        value=first,
        visible=bool(models.offered),
        label="Which classes had masks",
        info=masks_sentence(models.classes, masked_classes(models, first)),
        elem_id="split",
    )


def build_masked(models: Models) -> gr.CheckboxGroup:
    """The roles one by one, in the context that is open."""
    first = next(iter(models.offered), None)
    with gr.Accordion("Class roles, one by one", open=True, visible=bool(models.simformers), elem_id="roles-section"):
        return gr.CheckboxGroup(
            list(models.classes),
            value=masked_classes(models, first),
            label="Base: learnt from masks",
            info="The others are novel: learnt from image labels. Other roles than a split's are put together from "
            "the models in which the classes had them.",
            elem_id="roles",
            elem_classes="many",
        )


def connect(context: PageContext, controls: RoleControls) -> None:
    """Events between the controls, and from the address and other tabs to them; `masked.change` tells of them all."""
    models, sent = context.models, context.sent
    split, masked = controls
    splits = splits_json(models)
    split_of = SPLIT_OF % splits
    listen(masked.change, None, [masked, split], split, js=split_of)
    listen(split.input, None, [split, masked], masked, js=MASKED_OF % splits)
    listen(masked.change, lambda names: gr.Radio(info=masks_sentence(models.classes, names)), masked, split, last=True)
    listen(sent.change, partial(take_roles, models), sent, masked)
    if models.offered:
        text = TEXT_OF % (split_of, json.dumps(models.classes))
        read = partial(read_roles, models)
        context.address.hold("roles", models.offered[0], [split, masked], read, follow=[masked, split], text=text)
