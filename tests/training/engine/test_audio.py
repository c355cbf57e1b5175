"""MFCC in torch against librosa's own numbers, and their way into chunks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.engine import audio

REFERENCE = Path(__file__).parent / "mfcc_reference.json"


def sounds():
    """Noise, a rising tone with silence after it, and a tone so faint that the 80 dB range matters."""
    rng = np.random.default_rng(5)
    time = np.arange(int(0.9 * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
    rising = np.sin(2 * np.pi * (200 + 3000 * time) * time) * (time < 0.5)
    faint = 1e-4 * np.sin(2 * np.pi * 700 * time) + (time > 0.8) * 0.5 * np.sin(2 * np.pi * 90 * time)
    return np.stack([0.1 * rng.standard_normal(len(time)), rising, faint]).astype(np.float32)


def relative_error(got, expected):
    return np.abs(got - expected).max() / np.abs(expected).max()


def test_torch_agrees_with_what_librosa_gave():
    expected = json.loads(REFERENCE.read_text())
    got = audio.mfcc(torch.from_numpy(sounds()), 32).numpy()
    assert list(got.shape) == expected["shape"]
    assert relative_error(got[:, :: expected["every"]], np.array(expected["values"])) < 1e-4


@pytest.mark.slow
def test_torch_agrees_with_librosa_here():
    for sound in sounds():
        expected = audio.mfcc_reference(sound, 32)
        assert relative_error(audio.mfcc(torch.from_numpy(sound)[None], 32)[0].numpy(), expected) < 1e-3


def test_a_batch_is_its_sounds_one_by_one():
    batch = torch.from_numpy(sounds())
    one_by_one = torch.cat([audio.mfcc(sound[None]) for sound in batch])
    torch.testing.assert_close(audio.mfcc(batch), one_by_one, rtol=1e-4, atol=1e-2)


def test_silence_has_no_mfcc_and_gives_zeros():
    assert audio.clip_mfcc(None) is None
    assert audio.clip_mfcc(np.zeros(9000, np.float32)) is None
    assert not chunked(None, "tile").any()


def test_peak_normalisation_makes_loudness_no_matter():
    sound = sounds()[0]
    np.testing.assert_allclose(audio.clip_mfcc(sound, norm="peak"), audio.clip_mfcc(sound / 2, norm="peak"), rtol=1e-3, atol=1e-2)
    assert relative_error(audio.clip_mfcc(sound), audio.clip_mfcc(sound / 2)) > 0.01


def chunked(numbers, layout, norm="none"):
    column = None if numbers is None else np.asarray(numbers, np.float32)[:, None].repeat(2, 1)
    return audio.chunks(column, layout=layout, snippets=2, chunk_frames=3, num_mfcc=2, norm=norm)


@pytest.mark.parametrize(
    ("layout", "given", "expected"),
    [
        ("tile", range(1, 5), [1, 2, 3, 4, 1, 2]),
        ("tile", range(1, 11), [3, 4, 5, 6, 7, 8]),
        ("head_tile", range(1, 11), [1, 2, 3, 4, 5, 6]),
        ("zero", range(1, 4), [0, 1, 2, 3, 0, 0]),
        ("zero", range(1, 11), [3, 4, 5, 6, 7, 8]),
        ("aligned", [1, 1, 1, 1, 5, 5, 5, 5], [1, 1, 1, 5, 5, 5]),
        ("aligned", [7], [7] * 6),
    ],
)
def test_layouts(layout, given, expected):
    out = chunked(list(given), layout)
    assert out.shape == (2, 1, 3, 2)
    assert out[..., 0].flatten().tolist() == expected


def test_zscore_takes_out_mean_and_deviation():
    out = chunked([1, 2, 3, 4, 5, 6], "tile", norm="zscore")
    assert abs(out.mean()) < 1e-6
    assert abs(out.std(correction=0) - 1) < 1e-3
