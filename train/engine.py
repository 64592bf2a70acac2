"""The loop: train one model, evaluate it, leave its weights and its result."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from simformer.checkpoint import save_checkpoint
from simformer.errors import DatasetError, SimFormerError
from simformer.evaluation import Scores, evaluate
from simformer.predictor import Predictor
from simformer.splits import Split
from simformer.utils.files import make_folder
from train.config import TrainConfig
from train.data import load_split_of, open_datasets, pseudo_dataset, training_roles, training_stream
from train.evaluation.health import check_health, warning
from train.evaluation.health import described as health_line
from train.evaluation.transfer import described as transfer_line
from train.evaluation.transfer import measure_transfer
from train.init_weights import start_from
from train.optimization import make_optimizer, poly_schedule
from train.pseudo.teacher import open_maps, open_teacher, uses_teacher
from train.runtime.precision import products
from train.runtime.processes import StopSignal, ignore_signals, mean_over_workers, step_seed
from train.state import STATE, WEIGHTS, check_folder, load_state, save_state
from train.tables.provenance import commit_id, device_name
from train.tasks import SegmentationTask, evaluation_views, make_card, make_task, method_name


class Interrupted(SystemExit):
    """A signal came; the state is saved. Exit code as of a process that the signal ended: 143 for SIGTERM."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)


def train(config: TrainConfig, *, resume: bool = False) -> dict[str, Any] | None:
    """Trains until `config.steps`, evaluates with the last weights, writes weights and state under `config.out`.

    Several processes (`accelerate launch`, `torchrun`) share every batch and take the steps that one would take.

    Args:
        resume: go on from the last saved state, bit-equal on one CPU process.

    Returns:
        What `train.tables.provenance.result_cell` needs: scores, wall_seconds, seconds_per_image, device, commit,
        split, health, transfer.
        None in all processes but the first.

    Raises:
        SimFormerError: unusable data, configuration or state, or the training diverges.
        Interrupted: SIGTERM or Ctrl-C, after saving.
    """
    commit = commit_id()  # now: the history may move on while the run goes
    # Some backbones have layers behind the maps that are used here; DDP must not wait for their gradients.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    autocast = config.precision if torch.cuda.is_available() else "no"
    # The other processes wait while the first makes pseudo masks.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=2))
    accelerator = Accelerator(mixed_precision=autocast, kwargs_handlers=[unused, patient])
    torch.manual_seed(config.seed)
    train_set, val_set = open_datasets(config)
    if not any(map(val_set.has_label_map, range(len(val_set)))):
        raise DatasetError(f"no photo of {val_set.root} to evaluate on has a label map")
    split = load_split_of(config, train_set)
    check_folder(config)
    method_name(config, split)  # a teacher that cannot be named must be known before the training, not after
    photos, teacher, maps = train_set, None, None  # `photos`: with the masks that are given
    with accelerator.main_process_first():
        if uses_teacher(config):
            teacher = open_teacher(config, train_set, split)
            maps = open_maps(config, teacher)
        if config.pseudo:
            train_set = pseudo_dataset(config, train_set, split, maps)
    torch.manual_seed(config.seed)  # whether teacher and masks had to be made or were there, the network begins alike
    task = make_task(config, training_roles(config, split))
    optimizer = make_optimizer(task, config)
    schedule = poly_schedule(optimizer, config.steps)
    state_path = config.out / STATE
    start, seconds = load_state(state_path, task, optimizer, schedule, config) if resume else (0, 0.0)
    if config.init is not None and not start:
        start_from(task, split.classes, config.init)
    if config.channels_last:
        task.to(memory_format=torch.channels_last)
    model, optimizer = accelerator.prepare(task, optimizer)

    make_folder(config.out)
    writer = SummaryWriter(config.out / "tensorboard") if accelerator.is_main_process else None
    share = (accelerator.process_index, accelerator.num_processes)
    distilled = maps if config.distill_from == "partial_labels" else None
    stream = training_stream(config, train_set, split, start, share, distilled, photos.all_image_labels())
    on_gpu = accelerator.device.type == "cuda"
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=config.workers,
        pin_memory=on_gpu,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=ignore_signals,
    )
    begun = time.monotonic() - seconds
    bar = tqdm(loader, initial=start, total=config.steps, unit="step", disable=not accelerator.is_main_process)
    model.train()
    with StopSignal() as stop, products(config.precision):
        for step, batch in enumerate(bar, start + 1):
            # Seeded step by step, so that a resumed run draws what an unbroken one would have drawn.
            torch.manual_seed(step_seed(config.seed, step, accelerator.process_index))
            batch = batch.to(accelerator.device, non_blocking=True)
            with accelerator.autocast():
                losses = model(batch, mean_over_workers)
            accelerator.backward(sum(losses.values()))
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            if step % 50 == 0:
                report(bar, writer, losses, schedule, step, config)
            if config.evaluate_every and step % config.evaluate_every == 0 and step < config.steps and writer:
                paused = time.monotonic()
                scores, _ = evaluate_task(task, config, split, val_set)
                log_scores(writer, scores, step)
                bar.write(f"step {step}: {describe(scores)}")
                begun += time.monotonic() - paused  # results note the time of the steps alone
            signal_number = stop.agreed(accelerator)
            if signal_number or step % config.checkpoint_every == 0 or step == config.steps:
                if accelerator.is_main_process:
                    save_state(state_path, task, optimizer, schedule, config, step, time.monotonic() - begun)
                    writer.flush()
                accelerator.wait_for_everyone()
                if signal_number and step < config.steps:
                    raise Interrupted(signal_number)

    seconds = time.monotonic() - begun
    accelerator.end_training()
    if not accelerator.is_main_process:
        return None
    card = make_card(task, config, split, step=config.steps, commit=commit)
    save_checkpoint(config.out / WEIGHTS, task.network.state_dict(), card)  # whatever becomes of the evaluation
    scores, per_image = evaluate_task(task, config, split, val_set)
    if not scores.pixels:
        raise DatasetError(f"no pixel of the label maps of {val_set.root} to evaluate on is labelled")
    card = make_card(task, config, split, step=config.steps, commit=commit, metrics=asdict(scores))
    save_checkpoint(config.out / WEIGHTS, task.network.state_dict(), card)
    log_scores(writer, scores, config.steps)
    writer.close()
    health = transfer = None
    if isinstance(task, SegmentationTask):
        health = check_health(task.network, photos, split, config.image_size)
        transfer = measure_transfer(task, val_set, split, config, teacher)
        bar.write(health_line(health), file=sys.stderr)
        if transfer is not None:
            bar.write(transfer_line(transfer), file=sys.stderr)
        if sentence := warning(health):
            print(f"warning: {sentence}", file=sys.stderr)
    return {
        "scores": scores,
        "wall_seconds": seconds,
        "seconds_per_image": per_image,
        "commit": commit,
        "device": device_name(accelerator.device),
        "split": split,
        "health": health,
        "transfer": transfer,
    }


def evaluate_task(task, config: TrainConfig, split: Split, dataset) -> tuple[Scores, float]:
    """Scores of the task's network as it is now, and seconds per photo."""
    training = task.training
    task.eval()
    card = make_card(task, config, split)
    views = evaluation_views(config)
    predictor = Predictor(task.network, card, "training", inference=views, exact=config.exact)
    with products("no"):
        scores = evaluate(lambda image: predictor.segment(image.permute(1, 2, 0).numpy()).labels, dataset, split.novel)
    task.train(training)
    return scores


def report(bar, writer, losses, schedule, step: int, config: TrainConfig) -> None:
    """Losses to the progress bar and to TensorBoard. Raises SimFormerError if the training has diverged."""
    losses = mean_over_workers({name: loss.detach() for name, loss in losses.items()})
    values = {name: loss.item() for name, loss in losses.items()}
    total = sum(values.values())
    if not math.isfinite(total):
        raise SimFormerError(f"the loss is not a number at step {step}: lower the learning rate, or train without bf16")
    if writer is None:
        return
    for name, value in values.items():
        writer.add_scalar(f"loss/{name}", value, step)
    writer.add_scalar("learning_rate", max(schedule.get_last_lr()), step)
    rate = config.batch * bar.format_dict["rate"] if bar.format_dict["rate"] else 0.0
    bar.set_postfix_str(f"loss {total:.3f}, {rate:.0f} img/s")


def log_scores(writer: SummaryWriter, scores: Scores, step: int) -> None:
    for name in ("miou", "base", "novel"):
        if (value := getattr(scores, name)) is not None:
            writer.add_scalar(f"val/{name}", value, step)


def describe(scores: Scores) -> str:
    """mIoU of all, base and novel classes in one line."""
    parts = {"mIoU": scores.miou, "base": scores.base, "novel": scores.novel}
    return ", ".join(f"{name} {value:.1f}" for name, value in parts.items() if value is not None)
