"""The methods that tables and plots compare."""

from __future__ import annotations

METHOD_ORDER = (
    "CAM", "WSSS (CAM)", "WSSS (RIB)", "WSSS (partial labels)", "RETAB", "RETAB*",
    "Basic Model", "Self-Pair", "SimFormer", "SimFormer*", "SimFormer+", "FullyOracle",
)  # fmt: skip
"""From what knows least to what knows most; tables and plots list methods so."""

ROLE_OF_METHOD = {"CAM": "cam", "FullyOracle": "oracle"}
"""Methods that are trained once, in which no class is base or novel, and what their classes are called instead."""
