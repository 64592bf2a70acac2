"""The loop: train one model, evaluate it, leave its weights and its result."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from simformer.checkpoint import save_checkpoint
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import WeakShotBatch, WeakShotStream
from simformer.errors import DatasetError, SimFormerError
from simformer.evaluation import Scores, evaluate
from simformer.predictor import Predictor
from simformer.splits import ALL_BASE, Split
from simformer.utils.files import make_folder, only_one
from train.config import TrainConfig
from train.data import batches, load_split_of, open_datasets, pseudo_dataset, training_roles, training_stream
from train.evaluation.health import check_health, warning
from train.evaluation.health import described as health_line
from train.evaluation.transfer import described as transfer_line
from train.evaluation.transfer import measure_transfer
from train.init_weights import start_from
from train.masks import given_photos
from train.optimization import make_optimizer, poly_schedule
from train.pseudo.partial_labels import PartialLabelTeacher
from train.pseudo.teacher import open_maps, open_teacher, uses_teacher
from train.runtime.precision import cpu_matmul_precision
from train.runtime.processes import StepClock, StopSignal, mean_over_workers, step_seed
from train.settings import OptimizationSettings
from train.state import STATE, WEIGHTS, check_folder, load_state, save_state
from train.tables.provenance import Outcome, commit_id, device_name
from train.tasks import ClassificationTask, SegmentationTask, evaluation_views, make_card, make_task, method_name

LOG_EVERY = 50  # steps; and the last one
NO_NOVEL = "novel=[] makes every class base: this trains FullyOracle, on masks of all classes. Else name novel classes."


class Interrupted(SystemExit):
    """A signal came; the state is saved. Exit code as of a process that the signal ended: 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)


@dataclass
class Run:
    """A training that is ready for its next step.

    Attributes:
        task: network and losses; model: the same, wrapped where several processes share the batches.
        split: roles of the classes. stream: the batches that are left, or this process's share of them.
        photos: what is trained on, with the masks that are given; val_set: what is evaluated on.
        teacher: of pixels, None for runs without.
        step: taken so far. clock: their seconds.
        writer: TensorBoard's, in the first of several processes.
        commit: of the code, as it was when the run began.
    """

    config: TrainConfig
    accelerator: Accelerator
    task: SegmentationTask | ClassificationTask
    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    split: Split
    stream: WeakShotStream
    photos: FolderDataset
    val_set: FolderDataset
    teacher: PartialLabelTeacher | None
    step: int
    clock: StepClock
    writer: SummaryWriter | None
    commit: str


def train(config: TrainConfig, *, resume: bool = False) -> Outcome | None:
    """Trains until `config.steps`, evaluates with the last weights, writes weights and state under `config.out`.

    Several processes (`accelerate launch`, `torchrun`) share every batch and take the steps that one would take.

    Args:
        resume: go on from the last saved state, bit-equal on one CPU process.

    Returns:
        None in all processes but the first.

    Raises:
        SimFormerError: unusable data, configuration or state, another process trains in the same folder, or the
            training diverges.
        Interrupted: SIGTERM or Ctrl-C, after saving.
    """
    with ExitStack() as held:
        run = prepare(config, resume, held)
        loop(run)
        run.accelerator.end_training()
        return finish(run) if run.accelerator.is_main_process else None


def prepare(config: TrainConfig, resume: bool, held: ExitStack) -> Run:
    """Everything that a step needs. What cannot work, and another run's folder, is found here, before any step."""
    commit = commit_id()  # now: the history may move on while the run goes
    accelerator = make_accelerator(config)
    if config.method == "simformer" and config.novel == [] and config.split != ALL_BASE and accelerator.is_main_process:
        print(NO_NOVEL, file=sys.stderr)
    torch.manual_seed(config.seed)
    photos, val_set = open_datasets(config)
    if not any(map(val_set.has_label_map, range(len(val_set)))):
        raise DatasetError(f"no photo of {val_set.root} to evaluate on has a label map")
    split = load_split_of(config, photos)
    photos = given_photos(config, photos, split)
    check_folder(config)
    method_name(config, split)  # a teacher that cannot be named must be known before the training, not after
    train_set, teacher, maps = photos, None, None
    with accelerator.main_process_first():
        if uses_teacher(config):
            teacher = open_teacher(config, photos, split)
            maps = open_maps(config, teacher)
        if config.pseudo and config.has_weak:
            train_set = pseudo_dataset(config, photos, split, maps)
    torch.manual_seed(config.seed)  # whether teacher and masks had to be made or were there, the network begins alike
    task = make_task(config, training_roles(config, split))
    optimizer = make_optimizer(task, config)
    schedule = poly_schedule(optimizer, config.steps)
    step, seconds = load_state(config.out / STATE, task, optimizer, schedule, config) if resume else (0, 0.0)
    if config.init is not None and not step:
        start_from(task, split.classes, config.init)
    if config.channels_last:
        task.to(memory_format=torch.channels_last)
    model, optimizer = accelerator.prepare(task, optimizer)
    make_folder(config.out)
    if accelerator.is_main_process:
        held.enter_context(only_one(config.out, "a training"))
    writer = SummaryWriter(config.out / "tensorboard") if accelerator.is_main_process else None
    share = (accelerator.process_index, accelerator.num_processes)
    distilled = maps if config.distill_from == "partial_labels" else None
    stream = training_stream(config, train_set, split, step, share, distilled, photos)
    clock = StepClock(seconds)
    return Run(
        config, accelerator, task, model, optimizer, schedule, split, stream, photos, val_set, teacher, step, clock,
        writer, commit,
    )  # fmt: skip


def make_accelerator(config: OptimizationSettings) -> Accelerator:
    """Device, autocast on a GPU, and the processes that share a batch."""
    # Some backbones have layers behind the maps that are used here; DDP must not wait for their gradients.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # The other processes wait while the first makes pseudo masks.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=2))
    autocast = config.precision if torch.cuda.is_available() else "no"
    return Accelerator(mixed_precision=autocast, kwargs_handlers=[unused, patient])


def loop(run: Run) -> None:
    """Takes the steps that are left; logs, evaluates and saves on the way, and saves at the end."""
    config, accelerator = run.config, run.accelerator
    on_gpu = accelerator.device.type == "cuda"
    run.model.train()
    with (
        StopSignal() as stop,
        cpu_matmul_precision(config.precision),
        closing(batches(run.stream, config.workers, on_gpu)) as loaded,
        tqdm(total=config.steps, initial=run.step, unit="step", disable=not accelerator.is_main_process) as bar,
        run.clock,
    ):
        for batch in loaded:
            losses = take_step(run, batch)
            run.clock.tick()
            bar.update()
            last = run.step == config.steps
            if run.step % LOG_EVERY == 0 or last:
                report(run, bar, losses)
            if config.evaluate_every and run.step % config.evaluate_every == 0 and not last and run.writer:
                scores, _ = evaluate_task(run.task, config, run.split, run.val_set)
                log_scores(run.writer, scores, run.step)
                bar.write(f"step {run.step}: {describe(scores)}")
                run.clock.restart()  # results note the time of the steps alone
            signal_number = stop.agreed(accelerator)
            if signal_number or run.step % config.checkpoint_every == 0 or last:
                save(run)
                if signal_number and not last:
                    raise Interrupted(signal_number)


def take_step(run: Run, batch: WeakShotBatch) -> dict[str, Tensor]:
    """One update of the weights; the losses before it."""
    accelerator = run.accelerator
    run.step += 1
    # Seeded step by step, so that a resumed run draws what an unbroken one would have drawn.
    torch.manual_seed(step_seed(run.config.seed, run.step, accelerator.process_index))
    batch = batch.to(accelerator.device, non_blocking=True)
    with accelerator.autocast():
        losses = run.model(batch, mean_over_workers)
    accelerator.backward(sum(losses.values()))
    accelerator.clip_grad_norm_(run.model.parameters(), run.config.clip)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.schedule.step()
    return losses


def save(run: Run) -> None:
    """The state, by the first process; the others wait for it."""
    if run.writer is not None:
        path = run.config.out / STATE
        save_state(path, run.task, run.optimizer, run.schedule, run.config, run.step, run.clock.seconds)
        run.writer.flush()
    run.accelerator.wait_for_everyone()


def finish(run: Run) -> Outcome:
    """Weights and scores, and what is measured of the network beside them."""
    task, config, split, val_set = run.task, run.config, run.split, run.val_set
    card = make_card(task, config, split, step=config.steps, commit=run.commit)
    save_checkpoint(config.out / WEIGHTS, task.network.state_dict(), card)  # whatever becomes of the evaluation
    scores, per_image = evaluate_task(task, config, split, val_set)
    if not scores.pixels:
        raise DatasetError(f"no pixel of the label maps of {val_set.root} to evaluate on is labelled")
    card = make_card(task, config, split, step=config.steps, commit=run.commit, metrics=asdict(scores))
    save_checkpoint(config.out / WEIGHTS, task.network.state_dict(), card)
    if run.writer is not None:
        log_scores(run.writer, scores, config.steps)
        run.writer.close()
    health = transfer = None
    if isinstance(task, SegmentationTask):
        health = check_health(task.network, run.photos, split, config.image_size)
        transfer = measure_transfer(task, val_set, split, config, run.teacher)
        print(health_line(health), file=sys.stderr)
        if transfer is not None:
            print(transfer_line(transfer), file=sys.stderr)
        if sentence := warning(health):
            print(f"warning: {sentence}", file=sys.stderr)
    device = device_name(run.accelerator.device)
    return Outcome(split, scores, run.clock.seconds, per_image, run.commit, device, health, transfer)


def evaluate_task(
    task: SegmentationTask | ClassificationTask, config: TrainConfig, split: Split, dataset: FolderDataset
) -> tuple[Scores, float]:
    """Scores of the task's network as it is now, and seconds per photo."""
    training = task.training
    task.eval()
    card = make_card(task, config, split)
    predictor = Predictor(task.network, card, "training", inference=evaluation_views(config))
    with cpu_matmul_precision("no"):
        scores = evaluate(lambda image: predictor.segment(image).labels, dataset, split.novel)
    task.train(training)
    return scores


def report(run: Run, bar: tqdm, losses: dict[str, Tensor]) -> None:
    """Losses to the progress bar and to TensorBoard. Raises SimFormerError if the training has diverged."""
    losses = mean_over_workers({name: loss.detach() for name, loss in losses.items()})
    values = {name: loss.item() for name, loss in losses.items()}
    total = sum(values.values())
    if not math.isfinite(total):
        reason = "lower the learning rate, or train without bf16"
        raise SimFormerError(f"the loss is not a number at step {run.step}: {reason}")
    if run.writer is None:
        return
    for name, value in values.items():
        run.writer.add_scalar(f"loss/{name}", value, run.step)
    run.writer.add_scalar("learning_rate", max(run.schedule.get_last_lr()), run.step)
    rate = run.config.batch * bar.format_dict["rate"] if bar.format_dict["rate"] else 0.0
    bar.set_postfix_str(f"loss {total:.3f}, {rate:.0f} img/s")


def log_scores(writer: SummaryWriter, scores: Scores, step: int) -> None:
    for name in ("miou", "base", "novel"):
        if (value := getattr(scores, name)) is not None:
            writer.add_scalar(f"val/{name}", value, step)


def describe(scores: Scores) -> str:
    """mIoU of all, base and novel classes in one line."""
    parts = {"mIoU": scores.miou, "base": scores.base, "novel": scores.novel}
    return ", ".join(f"{name} {value:.1f}" for name, value in parts.items() if value is not None)
