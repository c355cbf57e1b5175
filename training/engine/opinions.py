"""What a network says of each clip of a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.engine.data import ClipDataset, even_batches, loader, pixels
from training.engine.losses import EPCELoss, total_loss
from training.engine.processes import Processes
from training.engine.recipes import Recipe

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Rows in the order of the part. probabilities (n, K); the branches' and the embedding (n, C) where the network gives them."""

    labels: NDArray[np.int64]
    probabilities: Floats
    video_probabilities: Floats | None
    audio_probabilities: Floats | None
    embedding: Floats | None
    has_audio: NDArray[np.bool_]
    loss: float


@torch.inference_mode()
def opinions_on(
    net: nn.Module,
    dataset: ClipDataset,
    recipe: Recipe,
    device: torch.device,
    processes: Processes | None = None,
    *,
    epoch: int = 0,
    each_batch: Callable[[], None] = lambda: None,
) -> Answers:
    """The network's opinions on every sample of the dataset, gathered from all processes."""
    processes = processes or Processes()
    if not len(dataset):
        raise ValueError("no clip of the part to be scored can be used; the reasons are above")
    batches = even_batches(len(dataset), recipe.batch_size, epoch=epoch, rank=processes.rank, world=processes.world)
    loss = EPCELoss(recipe.polarity, recipe.gamma, reduction="none").to(device)
    net.eval()
    rows: list[dict[str, NDArray]] = []
    for batch in loader(dataset, batches, workers=recipe.workers, pin=device.type == "cuda"):
        batch = batch.to(device)
        opinions = net(None if batch.video is None else pixels(batch.video, recipe.pixel_norm), batch.audio)
        named = {
            "probabilities": _softmax(opinions.logits),
            "video_probabilities": _softmax(opinions.video_logits),
            "audio_probabilities": _softmax(opinions.audio_logits),
            "embedding": opinions.embedding_BC,
            "loss": total_loss(loss, opinions, batch.label, recipe.loss_weights),
            "labels": batch.label,
            "index": batch.index,
            "has_audio": batch.has_audio,
        }
        rows.append({key: value.cpu().numpy() for key, value in named.items() if value is not None})
        each_batch()
    return _in_order([row for part in processes.gathered(rows) for row in part])


def _softmax(logits: Tensor | None) -> Tensor | None:
    return None if logits is None else logits.double().softmax(1)


def _in_order(rows: list[dict[str, NDArray]]) -> Answers:
    joined = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    order = np.argsort(joined.pop("index"), kind="stable")
    loss = float(joined.pop("loss").mean())
    ordered = {key: value[order] for key, value in joined.items()}
    optional = {key: ordered.get(key) for key in ("video_probabilities", "audio_probabilities", "embedding")}
    return Answers(ordered["labels"], ordered["probabilities"], **optional, has_audio=ordered["has_audio"], loss=loss)
