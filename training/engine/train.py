"""Trains a recipe on a release: python -m training.engine.train --recipe debug --release DIR --out RUN [--seed N] [--resume] [--set field=value].

Ends with 0 when done, 3 when stopped by SIGTERM or Ctrl-C after writing a checkpoint, 1 with one line on stderr when it cannot run.
A killed run, resumed, gives the curve it would have given: the order, crops and dropout of a step depend on the seed and
the step's number alone, and the checkpoint holds the rest.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.engine import checkpoints, metrics, runs
from training.engine.console import RECIPE, tells_in_one_line
from training.engine.data import Batch, ClipDataset, epoch_batches, loader, pixels
from training.engine.faster import ask_fused, ask_recompute, autocast, compiled, set_precision
from training.engine.losses import EPCELoss, total_loss
from training.engine.opinions import opinions_on
from training.engine.optimisers import learning_rate, optimiser_of, set_rate
from training.engine.processes import Processes, joined
from training.engine.recipes import RECIPES, Recipe, changes_of, overridden
from training.engine.releases import PARTS, Sample, for_release, manifest_hash, samples_of, split_validation
from training.engine.stopping import Stopped, StopSignal, stop_signal
from training.engine.trackers import Tracker, trackers_of
from training.engine.usable import UsableSamples, usable_samples
from training.nets import Opinions

STOPPED = 3


@dataclass
class Progress:
    """Where a run stands: all that a checkpoint holds beside weights and optimiser."""

    epoch: int = 1
    step_in_epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    confusion: list[list[int]] = field(default_factory=list)
    best_score: float = -1.0
    best_loss: float = math.inf
    best_epoch: int = 0
    best_test_acc: float = -1.0
    metrics_bytes: int = 0
    seconds: float = 0.0


class Run:
    """One training run; train() is the loop."""

    log: runs.MetricsLog
    clock: float  # when it would have begun, had it never been interrupted
    trackers: Sequence[Tracker] = ()

    def __init__(
        self, recipe: Recipe, folder: Path, parts: dict[str, UsableSamples], processes: Processes, device: torch.device, asked: StopSignal
    ) -> None:
        self.recipe, self.folder, self.processes, self.device = recipe, folder, processes, device
        self.parts, self.asked = parts, asked
        set_precision(recipe)
        torch.manual_seed(recipe.seed)
        self.net = checkpoints.initialised(runs.build(recipe), recipe).to(device)
        if recipe.checkpoint_gradients:
            ask_recompute(self.net)
        if recipe.fused_attention != "auto":
            ask_fused(self.net, recipe.fused_attention == "on")
        self.model = self._wrapped()
        self.loss = EPCELoss(recipe.polarity, recipe.gamma, reduction="none").to(device)
        self.optimiser = optimiser_of(self.net, recipe, fused=device.type == "cuda")
        self.progress = Progress()

    def _wrapped(self) -> nn.Module:
        model: nn.Module = self.net
        if self.processes.world > 1:
            if self.device.type == "cuda":
                model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
            model = nn.parallel.DistributedDataParallel(model, [self.device] if self.device.type == "cuda" else None)
        return compiled(model) if self.recipe.compile else model

    # -- the loop --

    def train(self) -> None:
        """Epochs to the end; raises Stopped when asked to, with a checkpoint written."""
        self.clock = time.monotonic() - self.progress.seconds
        while self.progress.epoch <= self.recipe.epochs:
            self._train_epoch()
            self._save_checkpoint()  # so that a kill during validation does not cost the epoch
            self._score_epoch()
            self.progress.epoch += 1
            self.progress.step_in_epoch = 0
            self._save_checkpoint()
        self._finish()

    def _train_epoch(self) -> None:
        """The optimiser steps of this epoch that are not done yet."""
        progress, recipe = self.progress, self.recipe
        if progress.step_in_epoch == 0:
            progress.loss_sum, progress.confusion = 0.0, np.zeros((recipe.num_classes,) * 2, int).tolist()
        groups = self._groups(progress.epoch)
        steps, kept = len(groups), progress.step_in_epoch
        ahead = [batch for group in groups[kept:] for batch in group]
        if not ahead:
            return
        feed = iter(self._loader("train", ahead, random=True))
        seen, since, saved_at = 0, time.monotonic(), time.monotonic()
        self.model.train()
        for group in groups[kept:]:
            loss, lr = self._step([next(feed) for _ in group], steps)
            seen += sum(len(batch) for batch in group) * self.processes.world
            if progress.step % recipe.log_every == 0:
                took = time.monotonic() - since
                self._write(split="train", step=progress.step, loss=loss, lr=lr, samples_per_s=round(seen / took, 3), **self._far(steps))
                seen, since = 0, time.monotonic()
            self._heartbeat("train")
            stop = self._stop_agreed()
            if stop or time.monotonic() - saved_at > recipe.checkpoint_every_s:
                self._save_checkpoint()
                saved_at = time.monotonic()
            if stop:
                raise Stopped

    def _far(self, steps_per_epoch: int) -> dict[str, int]:
        """Of how many steps the run is, and the seconds left at its pace so far, scoring included."""
        steps = self.recipe.epochs * steps_per_epoch
        seconds = time.monotonic() - self.clock
        return {"steps": steps, "left_s": round(seconds / self.progress.step * (steps - self.progress.step))}

    def _groups(self, epoch: int) -> list[list[list[tuple[int, int]]]]:
        """The epoch's batches in groups of one optimiser step each."""
        recipe = self.recipe
        batches = epoch_batches(len(self.parts["train"].samples), recipe, epoch, rank=self.processes.rank, world=self.processes.world)
        groups = [batches[i : i + recipe.accumulate] for i in range(0, len(batches), recipe.accumulate)]
        if not recipe.flush_last_group and len(groups) > 1 and len(groups[-1]) < recipe.accumulate:
            groups.pop()
        return groups

    def _step(self, group: Sequence[Batch], steps_per_epoch: int) -> tuple[float, float]:
        """One deferred update: the gradient of the mean loss over all samples of the group; (loss, learning rate)."""
        recipe, progress, world = self.recipe, self.progress, self.processes.world
        lr = learning_rate(progress.step, recipe.epochs * steps_per_epoch, recipe)
        set_rate(self.optimiser, lr)
        torch.manual_seed(step_seed(recipe.seed, progress.step, self.processes.rank))
        num_samples = self.processes.total(torch.tensor(float(sum(len(b.label) for b in group)))).item()
        loss_sum = torch.zeros((), device=self.device)
        confusion = np.array(progress.confusion)
        for number, batch in enumerate(group, 1):
            batch = batch.to(self.device)
            last = number == len(group)
            with nullcontext() if last or world == 1 else self.model.no_sync():  # type: ignore[operator]  # torch types a module's methods as tensors
                opinions, loss_B = self._losses(batch)
                # DDP gives the mean over processes; times their number it is the sum.
                (loss_B.sum() * world / num_samples).backward()
            loss_sum += loss_B.detach().sum()
            predicted = opinions.logits.detach().argmax(1)
            confusion += metrics.confusion(batch.label.cpu().numpy(), predicted.cpu().numpy(), recipe.num_classes)
        if hook := getattr(self.net, "after_backward", None):  # a network that changes its gradients itself (OGM-GE)
            hook(opinions, batch.label)
            # Each process judged its own clips and drew its own noise; with gradients apart their networks would drift apart.
            self.processes.follow_main(p.grad for p in self.net.parameters() if p.grad is not None)
        own_loss = loss_sum.item()
        loss = self.processes.total(loss_sum).item() / num_samples  # in place: it is everybody's from here on
        self._update(loss)
        progress.confusion, progress.loss_sum = confusion.tolist(), progress.loss_sum + own_loss
        progress.step += 1
        progress.step_in_epoch += 1
        return loss, lr

    def _losses(self, batch: Batch) -> tuple[Opinions, Tensor]:
        with autocast(self.recipe, self.device):
            opinions = self.model(*inputs(batch, self.recipe))
        return opinions, total_loss(self.loss, opinions, batch.label, self.recipe.loss_weights, batch.soft)

    def _update(self, loss: float) -> None:
        """Raises ValueError before a number that is none reaches the weights, and with them a checkpoint: a finite loss may have such a gradient."""
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_grad or math.inf).item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            told = f"the loss became {loss}" if not math.isfinite(loss) else f"the loss is {loss:.3g}, but its gradient became {norm}"
            raise ValueError(f"{told} at step {self.progress.step + 1}; lower lr, or set clip_grad, and start anew")
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    # -- scores --

    def _score_epoch(self) -> None:
        """Writes the epoch's lines and keeps the weights if they are the best."""
        progress, recipe = self.progress, self.recipe
        counts = self.processes.total(torch.tensor([progress.loss_sum], dtype=torch.float64))
        matrix = self.processes.total(torch.tensor(progress.confusion)).numpy()
        self._write(split="train", epoch=progress.epoch, step=progress.step, loss=counts.item() / matrix.sum(), **scores(matrix))
        if self.parts["val"].samples:
            row = self._score("val")
            score = row[recipe.select_by]
            if (score, -row["loss"]) > (progress.best_score, -progress.best_loss):
                progress.best_score, progress.best_loss, progress.best_epoch = score, row["loss"], progress.epoch
                self._save_weights("best")
        if recipe.test_each_epoch and (row := self._score("test"))["acc"] > progress.best_test_acc:
            progress.best_test_acc = row["acc"]
            self._save_weights("best_on_test")

    def _score(self, split: str) -> dict[str, float]:
        """Scores one part with the weights of now, and writes its line."""
        part, since = self.parts[split], time.monotonic()
        random = split == "test" and self.recipe.test_protocol == "random"
        dataset = ClipDataset(part.samples, self.recipe, folder=part.folder, entries=part.entries, random=random)
        answers = opinions_on(
            self.net, dataset, self.recipe, self.device, self.processes, epoch=self.progress.epoch, each_batch=self._may_go_on
        )
        matrix = metrics.confusion(answers.labels, answers.probabilities.argmax(1), self.recipe.num_classes)
        row = {"loss": answers.loss, **scores(matrix)}
        took = time.monotonic() - since
        self._write(
            split=split, epoch=self.progress.epoch, step=self.progress.step, samples_per_s=round(len(part.samples) / took, 3), **row
        )
        return row

    def _may_go_on(self) -> None:
        """Between two batches of scoring. The checkpoint before the scoring is enough to go on from."""
        self._heartbeat("score")
        if self.asked.stop and self.processes.world == 1:
            raise Stopped

    def _finish(self) -> None:
        self._save_weights("final")
        if not self.parts["val"].samples:
            self.progress.best_epoch = self.recipe.epochs
            self._save_weights("best")
        if self.processes.is_main:
            values = {"epochs": self.recipe.epochs, "steps": self.progress.step, "best_epoch": self.progress.best_epoch}
            runs.write_json(self.folder / "finished.json", values)
            (self.folder / "checkpoints" / runs.PREVIOUS).unlink(missing_ok=True)  # nothing goes on from here any more

    # -- what is kept --

    def _save_checkpoint(self) -> None:
        progress = self.progress
        # Each process counted its own share; the main one keeps the sums, the others go on from zero.
        sums = (
            self.processes.total(torch.tensor([progress.loss_sum], dtype=torch.float64)),
            self.processes.total(torch.tensor(progress.confusion)),
        )
        alone = self.processes.is_main
        progress.loss_sum = sums[0].item() if alone else 0.0
        progress.confusion = sums[1].tolist() if alone else (sums[1] * 0).tolist()
        progress.seconds = time.monotonic() - self.clock
        if alone:
            progress.metrics_bytes = self.log.size
            state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "progress": vars(progress)}
            runs.save_state(self.folder / "checkpoints", state)
        self.processes.wait()

    def restore(self) -> bool:
        """Whether there was a checkpoint to go on from."""
        checkpoints = self.folder / "checkpoints"
        self.processes.by_main(lambda: runs.settle_state(checkpoints))
        path = checkpoints / runs.LAST
        if not path.is_file():
            return False
        state = runs.load_state(path)
        try:
            self.net.load_state_dict(state["net"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = Progress(**state["progress"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} was written by another version of this code ({error}); go on with that, or give another --out"
            ) from error
        if not self.processes.is_main:
            self.progress.loss_sum = 0.0
            self.progress.confusion = np.zeros((self.recipe.num_classes,) * 2, int).tolist()
        return True

    def _save_weights(self, name: str) -> None:
        if self.processes.is_main:
            runs.save_weights(self.folder / "checkpoints" / f"{name}.safetensors", self.net)

    def _write(self, **row: Any) -> None:
        if self.processes.is_main:
            self.log.write(**row)
            for tracker in self.trackers:
                tracker.write(row)
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)

    def _heartbeat(self, phase: str) -> None:
        if self.processes.is_main:
            self.log.heartbeat(phase=phase, step=self.progress.step)

    def _stop_agreed(self) -> bool:
        """Whether any process was asked to stop; all must leave at the same step."""
        if self.processes.world == 1:
            return self.asked.stop
        return self.processes.total(torch.tensor(float(self.asked.stop))).item() > 0

    def _loader(self, split: str, batches: list, *, random: bool) -> Any:
        part = self.parts[split]
        soft = split == "train"
        dataset = ClipDataset(part.samples, self.recipe, folder=part.folder, entries=part.entries, random=random, soft=soft)
        return loader(dataset, batches, workers=self.recipe.workers, pin=self.device.type == "cuda")


# ---- Pieces ----------------------------------------------------------------------------------------------------------


def step_seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def inputs(batch: Batch, recipe: Recipe) -> tuple[Tensor | None, Tensor | None]:
    """(video, audio) as the network takes them."""
    return None if batch.video is None else pixels(batch.video, recipe.pixel_norm), batch.audio


def scores(matrix: metrics.Ints) -> dict[str, float]:
    return {"acc": metrics.accuracy(matrix), "wa_f1": metrics.weighted_f1(matrix), "uar": metrics.unweighted_recall(matrix)}


# ---- From the command line -------------------------------------------------------------------------------------------


def train(recipe: Recipe, release: Path, folder: Path, *, resume: bool = False) -> None:
    """A whole run, from a release folder to a run folder. Raises ValueError or OSError with a remedy, or Stopped."""
    device = runs.device_of(recipe)
    with joined(device) as processes:
        every = {part: samples_of(release, part, recipe.classes) for part in PARTS}
        facts = {"release": str(release.resolve()), "manifest_sha256": manifest_hash(release), "processes": processes.world}
        processes.agree(facts["manifest_sha256"], "release")
        if (folder / "finished.json").is_file() and resume:
            runs.check_same(folder, recipe, facts)
            print(f"{folder} is finished already")
            return
        processes.by_main(lambda: runs.open_run(folder, recipe, facts, resume=resume))
        with stop_signal() as asked, _forgotten_if_unbegun(folder, processes):
            parts = _prepared(every, recipe, release, folder, processes, asked)
            run = Run(recipe, folder, parts, processes, device, asked)
            restored = resume and run.restore()
            processes.agree((run.progress.step, {split: len(part.samples) for split, part in parts.items()}), "checkpoint and clips")
            run.log = runs.MetricsLog(folder / "metrics.jsonl", keep_bytes=run.progress.metrics_bytes if processes.is_main else None)
            with tracked(run):
                if processes.is_main:
                    print(_opening(run, restored), flush=True)
                run.train()


@contextmanager
def _forgotten_if_unbegun(folder: Path, processes: Processes) -> Iterator[None]:
    """A run that was refused before it learnt anything leaves its folder to the next try, whose recipe may be another."""
    try:
        yield
    except (ValueError, OSError):
        if processes.is_main:
            runs.forget_unbegun(folder)
        raise


@contextmanager
def tracked(run: Run) -> Iterator[None]:
    """While entered, the main process's numbers also go where the recipe and the environment say."""
    if run.processes.is_main:
        run.trackers = trackers_of(run.recipe, run.folder, step=run.progress.step)
    ended = "FAILED"
    try:
        yield
        ended = "FINISHED"
    except Stopped:
        ended = "KILLED"
        raise
    finally:
        for tracker in run.trackers:
            tracker.close(ended)


def _prepared(
    every: dict[str, list[Sample]], recipe: Recipe, release: Path, folder: Path, processes: Processes, asked: StopSignal
) -> dict[str, UsableSamples]:
    """train, val and test, prepared; the main process prepares for all."""
    train_samples, val_samples = split_validation(every["train"], recipe.val_fraction, recipe.seed)
    wanted = {"train": train_samples, "val": val_samples, "test": every["test"] if recipe.test_each_epoch else []}
    log = runs.MetricsLog(folder / "metrics.jsonl") if processes.is_main else None

    def progress(done: int, total: int, _name: str) -> None:
        if asked.stop:
            raise Stopped
        if log:
            log.heartbeat(phase="prepare", done=done, total=total)

    made: dict[str, UsableSamples] = {}

    def make() -> None:
        made.update({split: usable_samples(samples, release, recipe, progress=progress) for split, samples in wanted.items()})
        if not made["train"].samples:
            raise ValueError(f"{release}: no clip of the train part can be used; the reasons are above")

    processes.by_main(make)  # first; the others then find everything prepared
    if not processes.is_main:
        make()
    if log:
        log.close()
    return made


def _opening(run: Run, restored: bool) -> str:
    counts = ", ".join(f"{len(part.samples)} {split}" for split, part in run.parts.items() if part.samples)
    millions = sum(p.numel() for p in run.net.parameters()) / 1e6
    went = f"going on at epoch {run.progress.epoch}, step {run.progress.step}" if restored else "from the start"
    slow = "; no GPU: this runs on the processor" if run.device.type == "cpu" else ""
    return f"recipe {run.recipe.name}: {run.recipe.network} with {millions:.2f} M parameters on {counts} clips, {went}{slow}"


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.train", description=__doc__)
    parser.add_argument("--recipe", required=True, **RECIPE)
    parser.add_argument("--release", type=Path, required=True, help="a folder made by export_variants")
    parser.add_argument("--out", type=Path, required=True, help="the run folder")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true", help="go on where the run in --out stopped, if it did")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change one field of the recipe; may be repeated")
    options = parser.parse_args(arguments)
    recipe = for_release(RECIPES[options.recipe](), options.release)
    recipe = overridden(recipe, changes_of(options.set) | ({} if options.seed is None else {"seed": options.seed}))
    try:
        train(recipe, options.release, options.out, resume=options.resume)
    except Stopped:
        print(f"stopped; go on with --resume --out {options.out}", file=sys.stderr)
        return STOPPED
    except torch.OutOfMemoryError as error:
        told = str(error).partition(". ")[0]
        raise ValueError(f"{told}; lower batch_size and raise accumulate as much, or set checkpoint_gradients=true") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
