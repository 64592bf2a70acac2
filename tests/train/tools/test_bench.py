"""The benchmark of training steps: variants take the same steps, in turns, each in a process of its own."""

from __future__ import annotations

import pytest
import torch
import yaml
from tiny import NOVEL

from simformer.errors import SimFormerError
from simformer.paths import ROOT
from train.runtime.precision import cpu_matmul_precision
from train.tools.bench import WARM_UP, Variant, measure, table


@pytest.fixture
def config(scenes, tmp_path):
    settings = {"data": str(scenes), "novel": NOVEL, "crop": 64, "batch": 2, "steps": 20, "frozen_backbone": True}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.slow
def test_variants_take_the_same_steps(config):
    variants = [Variant("one", ROOT, []), Variant("other layout", ROOT, ["channels_last=true"])]
    measure(variants, config, threads=1, steps=2)
    for variant in variants:
        assert len(variant.losses) == WARM_UP + 2 and len(variant.seconds) == 2
        assert variant.gigaflops == variants[0].gigaflops > 0.01
        assert (variant.medians > 0).all() and variant.medians[0] < 60
    assert variants[0].losses[0] == pytest.approx(variants[1].losses[0], rel=1e-4)
    assert variants[0].losses[0] != variants[0].losses[1]


@pytest.mark.slow
def test_a_variant_that_cannot_run_is_named(config, capfd):
    with pytest.raises(SimFormerError, match="broken: its process ended"):
        measure([Variant("broken", ROOT, ["batch=3"])], config, threads=1, steps=1)
    assert "batch must be even" in capfd.readouterr().err


def test_table_compares_with_the_first_row():
    slow = Variant("slow", ROOT, [], [[0.1, 0.3, 0.5, 0.1]] * 3, [10.0], 50)
    fast = Variant("fast", ROOT, [], [[0.1, 0.1, 0.2, 0.1], [0.1, 0.1, 0.2, 0.1], [9.0, 9.0, 9.0, 9.0]], [10.1], 50)
    _, first, second = table([slow, fast], limit=200).splitlines()
    assert first.split() == ["slow", "1.000", "1.00x", "0.100", "0.300", "0.500", "0.100", "0.0e+00", "50.0", "25%"]
    assert second.split() == ["fast", "0.500", "2.00x", "0.100", "0.100", "0.200", "0.100", "1.0e-02", "50.0", "50%"]


def test_products_are_exact_again_afterwards():
    a, b = torch.randn(200, 100), torch.randn(100, 100)
    exact = a.double() @ b.double()

    def error() -> float:
        return float((a @ b - exact).abs().max())

    with cpu_matmul_precision("bf16"):
        outer = error()
        with cpu_matmul_precision("no"):
            assert error() < 1e-3
        assert error() == outer < 1
    assert error() < 1e-3
