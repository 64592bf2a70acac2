"""Files that a page offers inside its HTML."""

from __future__ import annotations

import base64
import csv
import io
import re


def saved_csv(html: str, name: str) -> list[dict[str, str]]:
    """Rows of the CSV file that the HTML offers under this name."""
    match = re.search(rf'download="{re.escape(name)}" href="data:[^;]+;base64,([^"]+)"', html)
    assert match, f"no file {name}"
    return list(csv.DictReader(io.StringIO(base64.b64decode(match[1]).decode())))
