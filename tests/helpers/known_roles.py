"""Expectations in which every class has an IoU of its own in each role, whatever the others' roles are."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from simformer.costs.expectation import RoleModel
from simformer.costs.role_expectation import RoleExpectation
from simformer.costs.role_fits import RoleFit
from simformer.costs.role_sets import MeasuredSets


def known_roles(iou):
    """From {class: {"base" | "novel" | "cam" | "oracle": percent}}; cam may lack, no role beats the oracle."""
    oracle = np.array([roles["oracle"] for roles in iou.values()], dtype=float)
    kept = np.array([roles["novel"] for roles in iou.values()]) / oracle
    lost = oracle - np.array([roles["base"] for roles in iou.values()])
    novel, base = (_fit(effects[None]) for effects in (logit(np.clip(kept, 1e-9, 1 - 1e-9)), lost))
    measured = MeasuredSets("made up", "SimFormer", "made up", tuple(iou), oracle, ())
    cam = np.array([roles.get("cam", np.nan) for roles in iou.values()], dtype=float)
    return RoleExpectation(RoleModel(measured, novel, base, (0.0, 1.0)), cam, "role sets", "")


def _fit(effects):
    none = np.zeros(1)
    return RoleFit(("class",), none, none, none, effects, 1.0, 1.0, None, None)
