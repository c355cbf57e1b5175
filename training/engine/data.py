"""A release's clips as the network reads them: 16 snippets of frames and 16 chunks of MFCC (Sec. V-A).

Every random choice of a sample comes from (seed, epoch, its place in the part), so neither the number of loader processes
nor a resumed run changes it. Shapes: S snippets, T frames, H W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from training.engine import audio, clips
from training.engine.recipes import Recipe
from training.engine.releases import Sample, beliefs
from training.engine.store import Clip, Entry, SourceClip, StoredClip

NORMS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "vaanet": ((100 / 255,) * 3, (1.0,) * 3),
}


@dataclass(frozen=True)
class Batch:
    """video (B, S, 3, T, H, W) uint8 or None, audio (B, S, 1, chunk, M) or None, label (B,), index (B,), has_audio (B,).

    soft (B, K): what is learnt of each class, where the recipe asks for more than the label.
    """

    video: Tensor | None
    audio: Tensor | None
    label: Tensor
    index: Tensor
    has_audio: Tensor
    soft: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Asked for by the loader."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in vars(self).items()}
        return Batch(**changed)


class ClipDataset(Dataset):
    """Items are asked for as (epoch, index); random: crops, flips and segments are drawn, else taken in the centre.

    soft: with the shares of the classes that the recipe's `labels` names, to be learnt in place of the label.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        recipe: Recipe,
        *,
        folder: Path | None,
        entries: Sequence[Entry],
        random: bool,
        soft: bool = False,
    ) -> None:
        self.samples, self.recipe, self.folder, self.entries, self.random = samples, recipe, folder, entries, random
        self.soft = soft and recipe.labels != "majority"

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng((self.recipe.seed, epoch, index)) if self.random else None
        item: dict[str, Any] = {"label": self.samples[index].label, "index": index, "has_audio": False}
        if self.soft:
            item["soft"] = torch.tensor(beliefs(self.samples[index], self.recipe.labels, self.recipe.num_classes))
        clip = self._clip(index)
        if self.recipe.modalities != "audio":
            item["video"] = snippets_of(clip, self.recipe, rng)
        if self.recipe.modalities != "video":
            coefficients = clip.mfcc()
            item["audio"], item["has_audio"] = audio_of(coefficients, self.recipe), coefficients is not None
        return item

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, Any]] | clips.Unusable:
        """A batch's items. What cannot be used is handed over: raised in a loader's process it would come as a traceback in a text."""
        try:
            return [self[key] for key in keys]
        except clips.Unusable as error:
            return error

    def _clip(self, index: int) -> Clip:
        if self.folder is None:
            return SourceClip(self.samples[index].path, self.recipe)
        return StoredClip(self.folder / self.entries[index].proxy)


def audio_of(coefficients: NDArray[np.float32] | None, recipe: Recipe) -> Tensor:
    """(S, 1, chunk, M)."""
    shape = {"snippets": recipe.snippets, "chunk_frames": recipe.chunk_frames, "num_mfcc": recipe.num_mfcc}
    return audio.chunks(coefficients, layout=recipe.audio_layout, norm=recipe.audio_norm, **shape)


def snippets_of(clip: Clip, recipe: Recipe, rng: np.random.Generator | None) -> Tensor:
    """(S, 3, T, crop, crop) uint8; without rng the centre of each segment and of the picture."""
    if clip.num_frames == 0:
        raise clips.Unusable("a clip", "it holds no picture", "set the recipe's modalities to audio")
    frames = _cropped(clip.frames(frame_numbers(clip.num_frames, recipe, rng)), recipe, rng)
    video = torch.empty(recipe.snippets, 3, recipe.frames, recipe.crop, recipe.crop, dtype=torch.uint8)
    planes = video.numpy()
    for place, frame in enumerate(frames):
        snippet, time = divmod(place, recipe.frames)
        cv2.split(
            frame, [planes[snippet, colour, time] for colour in range(3)]
        )  # straight to its place: a copy of all frames costs as much again
    return video


def frame_numbers(num_frames: int, recipe: Recipe, rng: np.random.Generator | None) -> list[int]:
    """S runs of T consecutive frames, one in each equal segment; a clip too short is played in a loop."""
    length = max(num_frames, recipe.snippets * recipe.frames) // recipe.snippets
    slack = length - recipe.frames
    starts = np.full(recipe.snippets, slack // 2) if rng is None else rng.integers(0, slack + 1, recipe.snippets)
    first = np.arange(recipe.snippets) * length + starts
    return ((first[:, None] + np.arange(recipe.frames)).ravel() % num_frames).tolist()


def _cropped(frames: Sequence[clips.Frame], recipe: Recipe, rng: np.random.Generator | None) -> Sequence[clips.Frame]:
    """A square of side crop, at one place, turned and flipped one way, for all frames of the sample."""
    side = recipe.crop
    rest_h, rest_w = frames[0].shape[0] - side, frames[0].shape[1] - side
    top, left = rest_h // 2, rest_w // 2
    if rng is not None and recipe.augment == "paper":
        top, left = rng.integers(0, rest_h + 1), rng.integers(0, rest_w + 1)
    elif rng is not None and recipe.augment == "vaanet":
        top, left = [(0, 0), (0, rest_w), (rest_h, 0), (rest_h, rest_w), (top, left)][rng.integers(5)]
    frames = [frame[top : top + side, left : left + side] for frame in frames]
    if rng is None or recipe.augment == "none":
        return frames
    if recipe.augment == "paper":
        return _flipped(frames) if rng.random() < 0.5 else frames
    return _vaanet_change(frames, rng) if rng.random() < 0.3 else frames


def _flipped(frames: Sequence[clips.Frame]) -> Sequence[clips.Frame]:
    return [cv2.flip(frame, 1).astype(np.uint8, copy=False) for frame in frames]


def _vaanet_change(frames: Sequence[clips.Frame], rng: np.random.Generator) -> Sequence[clips.Frame]:
    """One of a flip, a rotation by up to 20 degrees, a brightness of 0.5 to 1."""
    change, amount = rng.integers(3), rng.random()
    if change == 0:
        return _flipped(frames)
    if change == 1:
        return list(_rotated(np.stack(frames), np.deg2rad(40 * amount - 20)))
    return [(frame * (0.5 + amount / 2)).astype(np.uint8) for frame in frames]


def _rotated(frames: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    turn = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], dtype=torch.float32)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    grid = torch.nn.functional.affine_grid(turn.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
    turned = torch.nn.functional.grid_sample(pictures, grid, align_corners=False)
    return turned.round().byte().permute(0, 2, 3, 1).numpy()


def pixels(video: Tensor, norm: str) -> Tensor:
    """uint8 video as normalised floats; dimension -4 is the colour."""
    mean, deviation = (torch.tensor(v, device=video.device).view(3, 1, 1, 1) for v in NORMS[norm])
    return (video.float() / 255 - mean) / deviation


# ---- Batches ---------------------------------------------------------------------------------------------------------


def epoch_batches(num_samples: int, recipe: Recipe, epoch: int, *, rank: int = 0, world: int = 1) -> list[list[tuple[int, int]]]:
    """This process's share of every batch of a training epoch, shuffled by (seed, epoch) alike in every process."""
    order = np.random.default_rng((recipe.seed, epoch, 8)).permutation(num_samples)
    batches = [order[i : i + recipe.batch_size] for i in range(0, num_samples, recipe.batch_size)]
    # Every process needs a sample, or the others wait for it for ever; and batch norm over clips refuses a batch of one.
    fewest = max(world, min(2, recipe.batch_size))
    if len(batches[-1]) < fewest:
        batches[-1] = np.concatenate((batches[-1], order[: fewest - len(batches[-1])]))
    return [[(epoch, int(i)) for i in batch[rank::world]] for batch in batches]


def even_batches(num_samples: int, batch_size: int, *, epoch: int = 0, rank: int = 0, world: int = 1) -> list[list[tuple[int, int]]]:
    """Every sample once, in order, for evaluation."""
    mine = range(rank, num_samples, world)
    return [[(epoch, i) for i in mine[k : k + batch_size]] for k in range(0, len(mine), batch_size)]


def loader(dataset: ClipDataset, batches: list[list[tuple[int, int]]], *, workers: int, pin: bool = False) -> Iterator[Batch]:
    """The batches, read by that many processes. Raises Unusable for a clip that cannot be read."""
    for batch in DataLoader(dataset, batch_sampler=batches, num_workers=min(workers, len(batches)), collate_fn=collate, pin_memory=pin):  # type: ignore[arg-type]  # any sequence of batches will do
        if isinstance(batch, clips.Unusable):
            raise batch
        yield batch


def collate(items: Sequence[dict[str, Any]] | clips.Unusable) -> Batch | clips.Unusable:
    if isinstance(items, clips.Unusable):
        return items
    stacked: dict[
        str, Any
    ] = {  # by default_collate: in a loader's process it stacks where the training process can read it, without one more copy
        key: default_collate([item[key] for item in items]) if key in items[0] else None for key in ("video", "audio", "soft")
    }
    numbers = {key: torch.tensor([item[key] for item in items]) for key in ("label", "index", "has_audio")}
    return Batch(**stacked, **numbers)
