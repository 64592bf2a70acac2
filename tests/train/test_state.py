"""The saved state: written whole, read safely, refused where it belongs to another run."""

from __future__ import annotations

import pytest
import torch

from simformer.checkpoint import save_checkpoint
from simformer.errors import CheckpointError
from simformer.splits import Split
from train.config import DATA_ID, data_id
from train.optimization import make_optimizer, poly_schedule
from train.state import STATE, WEIGHTS, check_folder, first_difference, fixed_settings, load_state, save_state
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
    assert first_difference(old, settings(steps=10, points=100, cam_flip=False)) == "cam_flip"
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
    config = settings()
    saved = fixed_settings(config)
    assert first_difference(saved, config) is None
    del saved["partial_labels"]["kept"]
    assert first_difference(saved, config) is None
    saved["partial_labels"]["eps"] = 0.5
    assert first_difference(saved, config) == "partial_labels.eps"
    del saved["partial_labels"]
    assert first_difference(saved, config) is None
