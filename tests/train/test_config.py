"""Settings: YAML with a base, key=value over it, one sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from simformer.errors import ConfigError
from simformer.model import ModelConfig
from train.config import TrainConfig, load_config

CONFIGS = Path(__file__).resolve().parents[2] / "train" / "configs"


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


@pytest.mark.parametrize("dataset, crop, steps, weights", [
    ("coco_stuff_10k", 640, 60_000, (0.15, 0.1)),
    ("ade20k", 512, 160_000, (0.2, 0.5)),
])  # fmt: skip
def test_the_papers_configurations(dataset, crop, steps, weights):
    config = load_config(CONFIGS / f"{dataset}.yaml")
    paper = TrainConfig(data=config.data, dataset=dataset)  # the defaults are the paper's
    assert ModelConfig(num_classes=9, **config.model) == ModelConfig.paper(9)
    assert (config.dataset, config.crop, config.image_size, config.steps) == (dataset, crop, crop, steps)
    assert (config.complementary_weight, config.distillation_weight) == weights
    own = {"data", "dataset", "model", "complementary_weight", "distillation_weight", "crop", "image_size", "steps"}
    assert config.exact  # slower than the default, but what the paper scored
    running = {"exact", "workers", "cache", "evaluate_every", "checkpoint_every", "schedule"}
    assert config.model_dump(exclude=own | running) == paper.model_dump(exclude=own | running)


def test_odd_batches_where_nothing_is_paired():
    for single in ({"pairing": "none"}, {"method": "cam"}):
        assert TrainConfig(data="x", split="all_base", batch=3, **single).batch == 3
