"""AV-CANet's own recipes: the recommended reading of the paper, the other readings as presets, and two that a processor can train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from training.engine.recipes.recipe import Recipe


def avcanet() -> Recipe:
    """The recommended reading of Sec. IV and V."""
    return Recipe(name="avcanet")


def paper() -> Recipe:
    """Only what the paper's text says: no schedule, no validation part; the best epoch on test is reported beside the last."""
    return Recipe(name="paper", schedule="constant", warmup=0.0, val_fraction=0.0, test_each_epoch=True)


def released_code() -> Recipe:
    """What the authors' released code does, its frozen learning rate, plain cross-entropy and random test crops included."""
    return Recipe(
        name="released_code",
        net_options={"legacy_rpb_slice": True},
        pixel_norm="vaanet",
        augment="vaanet",
        test_protocol="random",
        audio_layout="head_tile",
        gamma=(0.0, 0.0, 0.0),
        schedule="constant",
        warmup=0.0,
        lr=1.5e-6,
        flush_last_group=False,
        val_fraction=0.0,
        test_each_epoch=True,
    )


def aligned_audio() -> Recipe:
    """AV-CANet with the n-th audio chunk from the same seconds as the n-th visual snippet."""
    return Recipe(name="aligned_audio", audio_layout="aligned")


def avcanet_16x2() -> Recipe:
    """AV-CANet in batches of 16: as many samples to one optimiser step, in half the passes; for a GPU with room."""
    return replace(avcanet(), name="avcanet_16x2", batch_size=16, accumulate=2)


def avcanet_32x1() -> Recipe:
    """AV-CANet in batches of 32: each is an optimiser step of its own."""
    return replace(avcanet(), name="avcanet_32x1", batch_size=32, accumulate=1)


SMALL_SWIN = {"embed_dim": 32, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8), "window": (8, 4, 4), "drop_path": 0.05}
SMALL_NET = {"width": 96, "num_heads": 4, "dropout": 0.2, "video": SMALL_SWIN, "audio": {"depth": 18, "base_width": 16}}


def small() -> Recipe:
    """The same modules, narrower, on fewer and smaller snippets: for a processor, or a hundred clips."""
    return Recipe(
        name="small",
        net_options=SMALL_NET,
        snippets=8,
        crop=64,
        chunk_frames=128,
        audio_layout="aligned",
        audio_norm="zscore",
        lr=5e-4,
        epochs=20,
        accumulate=1,
        clip_grad=5.0,
    )


DEBUG_SWIN = {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "window": (4, 4, 4), "drop_path": 0.0}
DEBUG_NET = {"width": 32, "num_heads": 4, "dropout": 0.1, "video": DEBUG_SWIN, "audio": {"depth": 18, "base_width": 8}}


def debug() -> Recipe:
    """Two epochs of the smallest network, to see that everything runs from release to result."""
    return replace(small(), name="debug", net_options=DEBUG_NET, snippets=4, chunk_frames=64, lr=1e-3, epochs=2, batch_size=4, log_every=2)


AVCANET_RECIPES: dict[str, Callable[[], Recipe]] = {
    "avcanet": avcanet,
    "paper": paper,
    "released_code": released_code,
    "aligned_audio": aligned_audio,
    "avcanet_16x2": avcanet_16x2,
    "avcanet_32x1": avcanet_32x1,
    "small": small,
    "debug": debug,
}
