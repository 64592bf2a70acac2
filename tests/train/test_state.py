"""The saved state: written whole, read safely, refused where it belongs to another run."""

from __future__ import annotations

import json

import pytest
import torch

from simformer.checkpoint import save_checkpoint
from simformer.errors import CheckpointError
from simformer.paths import RESULTS
from simformer.splits import Split
from simformer.weights import available_models, read_card
from train.config import DATA_ID, TrainConfig, data_id
from train.optimization import make_optimizer, poly_schedule
from train.state import STATE, WEIGHTS, check_folder, first_difference, fixed_settings, flat, load_state, save_state
from train.tasks import make_card, make_task

SPLIT = Split("custom", "custom", ("a", "b", "c"), (2,))


def parts(config, split=SPLIT):
    task = make_task(config, split)
    optimizer = make_optimizer(task, config)
    return task, optimizer, poly_schedule(optimizer, config.steps)


@pytest.fixture
def saved(settings, tmp_path):
    """A state after one step: (path, settings, its parts)."""
    config = settings(steps=10)
    torch.manual_seed(0)
    task, optimizer, schedule = parts(config)
    sum(p.sum() for p in task.parameters() if p.requires_grad).backward()
    optimizer.step()
    schedule.step()
    task.similarity.counts[-1] = torch.tensor([3.0, 4.0])
    path = tmp_path / "state.pt"
    save_state(path, task, optimizer, schedule, config, 1, 2.5)
    return path, config, (task, optimizer, schedule)


def test_everything_comes_back(saved):
    path, config, (task, optimizer, schedule) = saved
    torch.manual_seed(1)
    others = parts(config)
    assert not torch.equal(others[0].network.class_head.weight, task.network.class_head.weight)
    assert load_state(path, *others, config) == (1, 2.5)
    for name, value in task.state_dict().items():
        assert torch.equal(others[0].state_dict()[name], value), name
    for own, other in zip(optimizer.param_groups, others[1].param_groups, strict=True):
        assert own["lr"] == other["lr"]
        for a, b in zip(own["params"], other["params"], strict=True):
            assert torch.equal(optimizer.state[a]["exp_avg"], others[1].state[b]["exp_avg"])
    assert others[2].last_epoch == schedule.last_epoch == 1


def test_no_state_yet(settings, tmp_path):
    config = settings()
    assert load_state(tmp_path / "state.pt", *parts(config), config) == (0, 0.0)


@pytest.mark.parametrize("damage", [
    lambda content: content[: len(content) // 2],
    lambda content: b"",
    lambda content: b"not a state",
])  # fmt: skip
def test_a_damaged_state_is_one_sentence(saved, damage):
    path, config, others = saved
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged: delete it") as caught:
        load_state(path, *others, config)
    assert "\n" not in str(caught.value)


def test_a_state_cannot_run_code(saved):
    path, config, others = saved

    class Evil:
        def __reduce__(self):
            return (path.with_name("evil").write_text, ("!",))

    torch.save({"config": {}, "step": 1, "seconds": 0.0, "task": Evil()}, path)
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(path, *others, config)
    assert not path.with_name("evil").exists()


def test_a_state_of_another_network(saved):
    path, config, _ = saved
    more_classes = Split("custom", "custom", ("a", "b", "c", "d"), (2,))
    with pytest.raises(CheckpointError, match="another version of this network"):
        load_state(path, *parts(config, more_classes), config)


@pytest.mark.parametrize("changes, words", [
    ({"seed": 5}, "seed=0, this run has seed=5"),
    ({"learning_rate": 0.5, "steps": 11}, "learning_rate=0.0001, this run has learning_rate=0.5"),
    ({"hold_out": 0.5}, "hold_out=0.0, this run has hold_out=0.5"),
])  # fmt: skip
def test_other_settings_are_refused(saved, settings, changes, words):
    path, _, others = saved
    with pytest.raises(CheckpointError, match=words):
        load_state(path, *others, settings(**{"steps": 10, **changes}))


def test_what_may_change(saved, settings, tmp_path):
    path, _, others = saved
    config = settings(steps=10, workers=3, evaluate_every=2, checkpoint_every=7, out=tmp_path / "moved", schedule="new")
    assert load_state(path, *others, config)[0] == 1


def test_a_setting_younger_than_the_run_had_its_default(settings):
    config = settings(steps=10)
    old = {name: value for name, value in fixed_settings(config).items() if name not in ("points", "cam_flip")}
    assert first_difference(old, config) == "points"  # the tiny runs sample fewer
    assert first_difference(old, settings(steps=10, points=100)) is None
    assert first_difference(old, settings(steps=10, points=100, exact=True)) == "exact"
    assert first_difference(old | {"gone": 1}, settings(steps=10, points=100)) == "gone"


def other_classes(config, tmp_path):
    """The settings with a data set of as many other classes."""
    data = tmp_path / "other"
    data.mkdir()
    for name in ("train.txt", "val.txt"):
        (data / name).write_bytes((config.data / name).read_bytes())
    (data / "classes.txt").write_text("\n".join(f"other {line}" for line in (config.data / "classes.txt").open()))
    return config.model_copy(update={"data": data})


def test_another_data_set_is_refused(saved, tmp_path):
    path, config, others = saved
    with pytest.raises(CheckpointError, match="a data set of other classes or photos"):
        load_state(path, *others, other_classes(config, tmp_path))


def test_the_same_data_set_elsewhere_is_the_same(saved, tmp_path):
    path, config, others = saved
    (tmp_path / "moved").mkdir()
    for name in ("classes.txt", "train.txt", "val.txt"):
        (tmp_path / "moved" / name).write_bytes((config.data / name).read_bytes().replace(b"\n", b"\r\n"))
    assert load_state(path, *others, config.model_copy(update={"data": tmp_path / "moved"}))[0] == 1
    assert data_id(config.model_copy(update={"val_list": "train.txt"})) != data_id(config)


def test_a_run_older_than_the_data_sets_id_goes_on(settings):
    config = settings()
    old = {name: value for name, value in fixed_settings(config).items() if name != DATA_ID}
    assert first_difference(old, config) is None


def test_a_folder_of_another_run_is_not_overwritten(settings, tmp_path):
    config = settings(steps=10)
    check_folder(config)  # there is nothing yet
    config.out.mkdir()
    task = make_task(config, SPLIT)
    save_checkpoint(config.out / WEIGHTS, task.network.state_dict(), make_card(task, config, SPLIT))
    check_folder(config)
    for other, words in (
        (settings(steps=11), "steps=10, this run has steps=11"),
        (other_classes(config, tmp_path), "other classes or photos"),
    ):
        with pytest.raises(CheckpointError, match=rf"weights\.safetensors .*{words}"):
            check_folder(other)
    (config.out / WEIGHTS).write_bytes(b"damaged")
    check_folder(settings(steps=11))
    save_state(config.out / STATE, *parts(config), config, 1, 2.5)
    with pytest.raises(CheckpointError, match=r"state\.pt .*steps=10, this run has steps=11"):
        check_folder(settings(steps=11))


def test_a_setting_of_the_teacher_that_is_younger_than_the_run_had_its_default(settings):
    config = settings(distill_from="partial_labels")
    saved = fixed_settings(config)
    assert first_difference(saved, config) is None
    del saved["partial_labels"]["kept"]
    assert first_difference(saved, config) is None
    saved["partial_labels"]["eps"] = 0.5
    assert first_difference(saved, config) == "partial_labels.eps"
    del saved["partial_labels"]
    assert first_difference(saved, config) is None


@pytest.mark.parametrize("run, unread, read", [
    ({"method": "cam", "model": {}}, {"points": 11, "pairing": "none"}, {"cam_flip": False}),
    ({}, {"cam_flip": False, "present_threshold": 0.9, "partial_labels": {"eps": 0.5}}, {"points": 11}),
    ({"pairing": "none"}, {"simnet_width": 8, "distillation_weight": 1.0, "candidate_caps": (9, 9)}, {"points": 11}),
    ({"distill_from": "partial_labels"}, {"simnet_width": 8, "distill_padding": True},
     {"partial_labels": {"eps": 0.5}}),
    ({"novel": None, "split": "all_base"}, {"points": 11, "complementary_weight": 1.0}, {"candidate_caps": (9, 9)}),
    ({"frozen_backbone": True}, {"backbone_factor": 0.5}, {"classifier_factor": 0.5}),
    ({"pairing": "none", "pseudo": "retab", "teacher": "cam"}, {"complementary_weight": 1.0},
     {"pseudo": {"kind": "retab", "beta": 4}}),
])  # fmt: skip
def test_only_settings_that_the_method_reads_are_compared(settings, run, unread, read):
    saved = fixed_settings(settings(**run))
    for name, value in unread.items():
        assert first_difference(saved, settings(**{**run, name: value})) is None, name
    for name, value in read.items():
        assert first_difference(saved, settings(**{**run, name: value})).split(".")[0] == name


def test_pseudo_masks_as_they_were_noted_before_anything_of_them_could_be_set(settings):
    config = settings(pairing="none", pseudo="retab", teacher="cam")
    saved = fixed_settings(config)
    assert saved["pseudo"]["kind"] == "retab" and saved["pseudo"]["epochs"] == 4
    old = saved | {"pseudo": "retab"}
    assert first_difference(old, config) is None
    assert first_difference(old, settings(pairing="none", pseudo="rib", teacher="cam")) == "pseudo"
    assert first_difference(old, settings()) == "pairing"
    changed = settings(pairing="none", pseudo={"kind": "retab", "epochs": 8}, teacher="cam")
    assert first_difference(old, changed) == "pseudo.epochs"


def shipped() -> list[tuple[str, dict]]:
    """Settings of every shipped result and card."""
    results = [(path.name, json.loads(path.read_text())["config"]) for path in sorted(RESULTS.rglob("*.json"))]
    cards = [(path.name, read_card(path).training) for path in sorted(available_models().values())]
    return [*results, *((name, settings) for name, settings in cards if settings)]


@pytest.mark.parametrize("settings", [pytest.param(found, id=name) for name, found in shipped()])
def test_settings_of_shipped_results_and_cards_are_read_as_they_were(settings):
    noted = {name: value for name, value in settings.items() if name != DATA_ID}
    config = TrainConfig.model_validate({"data": ".", **noted})
    found = flat(config.model_dump(mode="json"))
    assert {name: found[name] for name in flat(noted)} == flat(noted)
    assert first_difference(noted, config) is None


def test_there_are_shipped_results_and_cards():
    assert len(shipped()) > 70
