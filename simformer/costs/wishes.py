"""What users ask of a plan, read from one line a wish: page, endpoint and command take the same words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from simformer.costs.budget import Wishes
from simformer.errors import ConfigError

WORDS = "person at least 60; sky weight 0; cow masks; road labels"
"""An example of every wish."""
_WISH = re.compile(r"(?P<name>.+?)\s+(?:(?P<what>at least|weight)\s+(?P<number>\S+)|(?P<role>masks|labels))\s*%?")


def read_wishes(lines: str | Iterable[str] | None) -> Wishes:
    """Wishes from a text, one a line or between semicolons, or from several.

    "CLASS at least IOU" (percent), "CLASS weight NUMBER", "CLASS masks" and "CLASS labels".

    Raises:
        ConfigError: a line is no wish, or a number is none; the sentence shows the line.
    """
    text = lines or "" if isinstance(lines, str) or lines is None else "\n".join(lines)
    found = {"at least": {}, "weight": {}, "masks": [], "labels": []}
    for line in filter(None, (part.strip() for part in re.split(r"[\n;]", text))):
        match = _WISH.fullmatch(line)
        if match is None:
            raise ConfigError(f"{line!r} is no wish; wishes are such as {WORDS}")
        if match["role"]:
            found[match["role"]].append(match["name"])
            continue
        try:
            found[match["what"]][match["name"]] = float(match["number"].rstrip("%"))
        except ValueError:
            raise ConfigError(f"{line!r}: {match['number']!r} is not a number") from None
    return Wishes.checked(found["weight"], found["at least"], found["masks"], found["labels"])
