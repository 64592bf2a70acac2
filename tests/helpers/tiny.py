"""What tiny runs train: novel classes of the drawn scenes, and the sizes of a network."""

from __future__ import annotations

NOVEL = ["sky", "disc", "star"]
TINY = {"backbone": "test_efficientnet", "width": 32, "queries": 5, "decoder_layers": 1, "heads": 4, "feed_forward": 32}
