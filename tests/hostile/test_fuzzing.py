"""Checkpoints that are changed at random: tensors by name, or one sentence."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from simformer.errors import CheckpointError
from simformer.interop.convert import read_released

MODEL = {"model": {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.zeros(2)}, "step": 7}


def saved_by_torch(**options) -> bytes:
    file = io.BytesIO()
    torch.save({"model": {name: torch.from_numpy(value) for name, value in MODEL["model"].items()}}, file, **options)
    return file.getvalue()


WHOLE = {
    ".pkl": [pickle.dumps(MODEL, protocol) for protocol in (0, 2, 4, 5)],
    ".pth": [saved_by_torch(), saved_by_torch(_use_new_zipfile_serialization=False)],
}


@st.composite
def changed(draw, whole: bytes):
    """The bytes with some replaced, taken out or put in, and cut at a place."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])


@pytest.mark.parametrize("suffix", WHOLE)
def test_whole_ones_are_read(tmp_path, suffix):
    for content in WHOLE[suffix]:
        (tmp_path / f"w{suffix}").write_bytes(content)
        found = read_released(tmp_path / f"w{suffix}")
        assert {name: value.tolist() for name, value in found.items()} == {
            name: value.tolist() for name, value in MODEL["model"].items()
        }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", WHOLE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_ones_are_read_or_refused_in_one_sentence(tmp_path, suffix, data):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(data.draw(changed(data.draw(st.sampled_from(WHOLE[suffix])))))
    try:
        tensors = read_released(path)
    except CheckpointError as error:
        assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert tensors and all(isinstance(value, Tensor) for value in tensors.values())
        assert sum(value.nbytes for value in tensors.values()) < 1_000_000
