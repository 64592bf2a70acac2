"""Settings: YAML with a base, key=value over it, one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from simformer.errors import ConfigError
from simformer.model import ModelConfig
from simformer.paths import ROOT
from train.config import TrainConfig, load_config

CONFIGS = ROOT / "train" / "configs"


@pytest.fixture
def write(tmp_path):
    """Writes a YAML file; its path."""

    def write(text: str, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_the_defaults_are_the_papers():
    config = TrainConfig(data="x", split="all_base")
    assert (config.learning_rate, config.weight_decay, config.backbone_factor, config.clip) == (1e-4, 1e-4, 0.1, 0.01)
    assert (config.batch, config.steps, config.crop, config.scale) == (8, 60_000, 640, (0.5, 2.0))
    assert (config.complementary_weight, config.distillation_weight, config.distillation) == (0.15, 0.1, "cce")
    assert (config.points, config.simnet_width, config.pairing, config.label_rule) == (100, 256, "cross", "strict")
    assert (config.seed, config.loss_resolution, config.frozen_backbone) == (0, "image", False)
    # Where the released code differs from the paper, the paper holds.
    assert (config.simnet_statistics, config.student_pairs, config.distill_padding) == ("running", "across", False)
    assert (config.candidate_caps, config.scale_step, config.long_side) == (None, 0, None)


def test_key_value_over_the_file(write):
    path = write("data: photos\nnovel: [cat]\nsteps: 10\nmodel: {width: 64, heads: 4}\n")
    config = load_config(path, ["steps=20", "model.width=32", "scale=[0.5, 1]", "novel=[dog, cow]", "hold_out=0.2"])
    assert config.data == Path("photos") and config.steps == 20 and config.hold_out == 0.2
    assert config.model == {"width": 32, "heads": 4}
    assert config.scale == (0.5, 1.0) and config.novel == ["dog", "cow"]
    assert load_config(path).model == {"width": 64, "heads": 4}
    assert load_config(write("data: x\nsplit: all_base\n"), ["model.width=96"]).model == {"width": 96}
    assert load_config(path, ["learning_rate=1e-3"]).learning_rate == 0.001  # to YAML this is text
    assert load_config(path, ["precision=no"]).precision == "no"  # to YAML this is False


def test_a_file_laid_over_its_base(write):
    write("data: photos\nnovel: [cat]\nsteps: 10\nmodel: {width: 64, heads: 4}\n", "base.yaml")
    write("base: base.yaml\nsteps: 20\nmodel: {heads: 8}\n", "middle.yaml")
    config = load_config(write("base: middle.yaml\nseed: 3\n"), ["model.queries=7"])
    assert (config.steps, config.seed, config.novel) == (20, 3, ["cat"])
    assert config.model == {"width": 64, "heads": 8, "queries": 7}


def test_settings_of_the_teacher_are_laid_over_each_other(write):
    write("data: photos\nnovel: [cat]\npartial_labels: {eps: 0.5, steps: 7}\n", "base.yaml")
    found = load_config(write("base: base.yaml\npartial_labels: {steps: 8}\n"), ["partial_labels.points=9"])
    assert (found.partial_labels.eps, found.partial_labels.steps, found.partial_labels.points) == (0.5, 8, 9)


def test_settings_of_pseudo_masks(write):
    masks = "data: photos\nnovel: [cat]\npairing: none\nteacher: cam\n"
    plain = load_config(write(masks + "pseudo: retab\n"))
    assert (plain.pseudo_kind, plain.pseudo.beta) == ("retab", 8)
    path = write(masks + "pseudo: {kind: retab, beta: 4}\n", "base.yaml")
    assert load_config(path).pseudo.beta == 4
    found = load_config(write("base: base.yaml\npseudo: {epochs: 2}\n"), ["pseudo.steps=9"]).pseudo
    assert (found.beta, found.epochs, found.steps) == (4, 2, 9)
    assert load_config(path, ["pseudo=cam"]).pseudo.scales == (0.5, 1, 1.5, 2)
    assert load_config(path, ["pseudo={kind: rib, tau: 0.5}"]).pseudo.tau == 0.5
    assert load_config(write(masks + "pseudo: cam\n"), ["pseudo.flip=false"]).pseudo.flip is False
    assert load_config(write("base: base.yaml\npseudo: null\nteacher: null\n")).pseudo is None


PER_SPLIT = """
data: photos
dataset: ade20k
steps: 10
seed: 1
model: {width: 64, heads: 4}
per_split:
  s1: {steps: 20, model: {width: 32}}
  s2: {seed: 2}
"""


def test_settings_of_a_split(write):
    path = write(PER_SPLIT)
    found = {split: load_config(path, [f"split={split}"]) for split in ("s1", "s2", "s3", "all_base")}
    assert {name: (config.steps, config.seed) for name, config in found.items()} == {
        "s1": (20, 1), "s2": (10, 2), "s3": (10, 1), "all_base": (10, 1),
    }  # fmt: skip
    assert found["s1"].model == {"width": 32, "heads": 4} and found["s2"].model == {"width": 64, "heads": 4}
    assert load_config(path).steps == 20  # s1 is the default
    assert load_config(write(PER_SPLIT + "split: s2\n")).seed == 2
    assert load_config(path, ["steps=30", "model.width=96"]).steps == 30
    assert load_config(path, ["model.width=96"]).model == {"width": 96, "heads": 4}


def test_a_file_is_laid_over_its_bases_settings_of_a_split(write):
    write(PER_SPLIT, "base.yaml")
    path = write("base: base.yaml\nsteps: 40\nper_split: {s2: {seed: 3}, s3: {steps: 50}}\n")
    found = [load_config(path, [f"split={split}"]) for split in ("s1", "s2", "s3")]
    assert [(config.steps, config.seed) for config in found] == [(40, 1), (40, 3), (50, 1)]
    assert found[0].model == {"width": 32, "heads": 4}


def test_settings_of_another_data_sets_split_do_not_count(write):
    write(PER_SPLIT, "base.yaml")
    other = write("base: base.yaml\ndataset: msrc21\nper_split: {s9: {seed: 9}}\n")
    assert [load_config(other, [f"split={split}"]).seed for split in ("s1", "s2", "s9")] == [1, 1, 9]
    assert load_config(other).steps == 10
    assert load_config(write(PER_SPLIT), ["dataset=custom", "novel=[a]"]).steps == 10
    mine = write("data: x\nnovel: [a]\nsplit: mine\nper_split: {mine: {steps: 5}}\n")  # names of splits are free
    assert load_config(mine).steps == 5 and load_config(mine, ["split=yours"]).steps == 60_000


@pytest.mark.parametrize("text, overrides, words", [
    ("data: x\nnovel: [a]\nlearing_rate: 1\n", [], "learing_rate: Extra inputs are not permitted"),
    ("data: x\nnovel: [a]\n", ["stepps=3"], "stepps"),
    ("data: x\nnovel: [a]\nsteps: many\n", [], "steps"),
    ("data: x\nnovel: [a]\nsteps: 0\n", [], "steps"),
    ("data: x\nnovel: [a]\nlearning_rate: .inf\n", [], "learning_rate"),
    ("data: x\nnovel: [a]\nmodel: wide\n", [], "model"),
    ("data: x\nnovel: [a]\nmodel:\n", ["model.width=32"], "'model' in 'model.width=32' has no keys"),
    ("data: x\nnovel: [a]\nbatch: 3\n", [], "batch must be even"),
    ("data: x\nnovel: [a]\nscale: [2, 1]\n", [], "lower scale"),
    ("data: x\n", [], "needs `novel`"),
    ("data: x\nnovel: [cow]\ndataset: msrc21\n", [], "msrc21 ships with a split s1: `novel` needs another name"),
    ("data: x\nnovel: []\ndataset: msrc21\nsplit: all_base\n", [], "msrc21 ships with a split all_base"),
    ("novel: [a]\n", [], "data: Field required"),
    ("data: x\nnovel: [a]\n", ["steps"], "'steps' is not of the form key=value"),
    ("data: x\nnovel: [a]\n", ["steps=[1"], "not YAML"),
    ("data: x\nnovel: [a]\n", ["steps=1", "steps.more=1"], "'steps' in 'steps.more=1' has no keys"),
    ("data: x\nnovel: [a]\npoints: 2\n", [], "points"),
    ("data: x\nnovel: [a]\nimage_size: 5000\n", [], "image_size"),
    ("data: x\nsplit: all_base\nmethod: cam\ncam_scales: []\n", [], "cam_scales"),
    ("data: x\nsplit: all_base\nmethod: cam\ncam_scales: [1, 0]\n", [], "cam_scales"),
    ("data: x\nsplit: all_base\nmethod: cam\nexact: true\n", [], "exact is about masks"),
    ("- data\n", [], "key: value lines"),
    ("data: [x\n", [], "cannot be read as YAML"),
    ("data: !!python/object/apply:os.getcwd []\n", [], "cannot be read as YAML"),
    ("base: nowhere.yaml\n", [], "no configuration .*nowhere.yaml"),
    ("base: run.yaml\n", [], "is its own base"),
    ("base: [1]\n", [], "no configuration"),
    ("data: x\ndataset: ade20k\nper_split: {s5: {seed: 1}}\n", [], "per_split names s5, which is no split of ade20k"),
    ("data: x\ndataset: ade20k\nper_split: {s2: {sed: 1}}\n", [], "per_split cannot set sed"),
    ("data: x\ndataset: ade20k\nper_split: {s2: {split: s1}}\n", [], "per_split cannot set split"),
    ("data: x\ndataset: ade20k\nper_split: {s2: {steps: 0}}\n", ["split=s2"], "steps"),
    ("data: x\ndataset: ade20k\nper_split: [s2]\n", [], "per_split must hold settings for each split"),
    ("data: x\ndataset: ade20k\nper_split: {s2: 1}\n", [], "per_split must hold settings for each split"),
    ("data: x\ndataset: ade20k\n", ["per_split.s1.seed=1"], "per_split: Extra inputs"),
    ("data: x\ndataset: ade20k\nsplit: [s1]\n", [], "split"),
    ("data: x\nnovel: [a]\npseudo: cam\n", ["pairing=none"], "need both"),
    ("data: x\nnovel: [a]\npseudo: partial_labels\nteacher: cam\n", ["pairing=none"], "need no `teacher`"),
    ("data: x\nnovel: [a]\npseudo: partial_labels\n", [], "beside pseudo masks there are no pairs"),
    ("data: x\nnovel: [a]\ndistill_from: partial_labels\n", ["pairing=none"], "with pairing=cross"),
    ("data: x\nnovel: [a]\ndistill_from: partial_labels\n", ["pseudo=cam", "teacher=cam"], "only be those of"),
    ("data: x\nnovel: [a]\npartial_labels: {eps: 0}\n", [], "partial_labels"),
    ("data: x\nnovel: [a]\npairing: none\nteacher: cam\npseudo: rab\n", [], "pseudo.*'rab'.*'retab'"),
    ("data: x\nnovel: [a]\npairing: none\nteacher: cam\npseudo: {kind: cam, beta: 8}\n", [], "pseudo.cam.beta: Extra"),
    ("data: x\nnovel: [a]\ncandidate_caps: [500, 0]\n", [], "candidate_caps"),
    ("data: x\nnovel: [a]\nscale_step: -1\n", [], "scale_step"),
    ("data: x\nnovel: [a]\nlong_side: 0\n", [], "long_side"),
])  # fmt: skip
def test_one_sentence_for_what_is_wrong(write, text, overrides, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(write(text), overrides)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no configuration .*missing\.yaml"):
        load_config(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    "path", sorted(set(CONFIGS.glob("*.yaml")) - set(CONFIGS.glob("table_*"))), ids=lambda path: path.stem
)
def test_every_shipped_configuration_is_valid(path):
    config = load_config(path)
    if config.method == "simformer":
        ModelConfig(num_classes=21, **config.model)


@pytest.mark.parametrize("dataset, crop, steps, weights, scale, long_side", [
    ("coco_stuff_10k", 640, 60_000, (0.15, 0.1), (0.5, 1.5), 2560),
    ("ade20k", 512, 160_000, (0.2, 0.5), (0.5, 2.0), 2048),
])  # fmt: skip
def test_the_papers_configurations(dataset, crop, steps, weights, scale, long_side):
    config = load_config(CONFIGS / f"{dataset}.yaml", ["split=s2"])
    paper = TrainConfig(data=config.data, dataset=dataset, split="s2")  # the defaults are the paper's
    assert ModelConfig(num_classes=9, **config.model) == ModelConfig.paper(9)
    assert (config.dataset, config.crop, config.image_size, config.steps) == (dataset, crop, crop, steps)
    assert (config.complementary_weight, config.distillation_weight) == weights
    assert (config.scale, config.scale_step, config.long_side) == (scale, 0.1, long_side)
    own = {"data", "dataset", "model", "complementary_weight", "distillation_weight", "crop", "image_size", "steps"}
    own |= {"scale", "scale_step", "long_side"}
    assert config.exact  # slower than the default, but what the paper scored
    running = {"exact", "workers", "cache", "evaluate_every", "checkpoint_every", "schedule"}
    assert config.model_dump(exclude=own | running) == paper.model_dump(exclude=own | running)


def test_distillation_as_released():
    for split in [f"s{number}" for number in range(1, 10)]:
        config = load_config(CONFIGS / "coco_stuff_10k.yaml", [f"split={split}"])
        expected = {"s1": (0, "cce"), "s3": (0.1, "ce")}.get(split, (0.1, "cce"))
        assert (config.distillation_weight, config.distillation) == expected
    for split in ("s1", "s2", "s3", "s4"):
        config = load_config(CONFIGS / "ade20k.yaml", [f"split={split}"])
        assert (config.distillation_weight, config.distillation) == (0.5, "cce")


@pytest.mark.parametrize("split", ["s1", "s2", "s3"])
def test_all_options_as_released(split):
    ours, released = (
        load_config(CONFIGS / f"{name}.yaml", [f"split={split}"]).model_dump()
        for name in ("coco_stuff_10k", "coco_stuff_10k_released")
    )
    assert {key: value for key, value in released.items() if value != ours[key]} == {
        "label_rule": "crop",
        "simnet_statistics": "batch",
        "student_pairs": "within",
        "distill_padding": True,
        "candidate_caps": (500, 50),
    }


def test_odd_batches_where_nothing_is_paired():
    for single in ({"pairing": "none"}, {"method": "cam"}):
        assert TrainConfig(data="x", split="all_base", batch=3, **single).batch == 3
