"""What holds of every plan, whatever the classes, prices and measured IoU are."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from known_roles import known_roles

from simformer.costs import best_for_budget, cost_inputs, plan_cost

percent = st.floats(1, 99)


@st.composite
def cases(draw):
    """Cost inputs of up to five classes, and what to expect of them."""
    count = draw(st.integers(2, 5))
    classes = [
        {"name": f"class {number}", "share": draw(st.floats(0, 1)), "instances": draw(st.floats(1, 20))}
        for number in range(count)
    ]
    seconds = {"image_label": draw(st.floats(0, 30)), "mask": draw(st.floats(0, 500))}
    inputs = cost_inputs(
        images=draw(st.integers(1, 100_000)), classes=classes, seconds=seconds, hourly_rate=draw(st.floats(0.5, 200))
    )
    iou = {}
    for one in classes:
        oracle = draw(percent)
        roles = {role: oracle * draw(st.floats(0.01, 1)) for role in ("base", "novel")}
        iou[one["name"]] = {"oracle": oracle, "cam": draw(percent), **roles}
    return inputs, known_roles(iou)


@settings(max_examples=10, deadline=None)
@given(cases(), st.floats(0, 1.2), st.floats(0, 0.5))
def test_a_budget_is_kept_and_a_larger_one_is_never_worse(case, part, more):
    inputs, expectation = case
    labels, masks = (plan_cost(inputs, names).money for names in ((), inputs.names))
    budget = labels + part * abs(masks - labels)
    best = best_for_budget(inputs, expectation, budget)
    assert best.money <= budget * (1 + 1e-9) + 1e-9
    assert math.isclose(best.money, plan_cost(inputs, best.masked).money)
    assert list(best.masked) == [name for name in inputs.names if name in best.masked]
    richer = best_for_budget(inputs, expectation, budget + more * abs(masks - labels))
    assert richer.weighted_miou >= best.weighted_miou - 1e-6
    assert best.weighted_miou >= expectation.expect(inputs.names, ()).miou - 1e-6
    assert 0 <= best.expected.miou <= 100
