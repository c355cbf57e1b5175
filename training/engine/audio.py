"""MFCC as the audio branch reads them: librosa's numbers, computed in batches by torch; librosa itself is the reference.

Shapes: B clips, N samples, F MFCC frames, M coefficients, S snippets.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLE_RATE = 44_100
FFT, HOP, MELS = 2048, 512, 128
FLOOR, RANGE_DB = 1e-10, 80.0


def mfcc_reference(waveform: NDArray[np.float32], num_mfcc: int = 32) -> NDArray[np.float32]:
    """librosa's MFCC, shape (F, M). Its first call compiles for most of a minute."""
    import librosa

    return librosa.feature.mfcc(y=waveform, sr=SAMPLE_RATE, n_mfcc=num_mfcc).T.astype(np.float32)


def mfcc(waveform_BN: Tensor, num_mfcc: int = 32) -> Tensor:
    """The same in torch for waveforms of one length, shape (B, F, M)."""
    window = torch.hann_window(FFT, dtype=waveform_BN.dtype, device=waveform_BN.device)
    padded = torch.nn.functional.pad(waveform_BN, (FFT // 2, FFT // 2))
    spectrum = torch.stft(padded, FFT, HOP, window=window, center=False, return_complex=True)  # (B, 1 + FFT/2, F)
    mel = _mel_filters().to(waveform_BN) @ spectrum.abs().square()
    decibel = 10 * mel.clamp(min=FLOOR).log10()
    decibel = decibel.maximum(decibel.amax((1, 2), keepdim=True) - RANGE_DB)
    return (_cosines(num_mfcc).to(waveform_BN) @ decibel).transpose(1, 2)


def clip_mfcc(waveform: NDArray[np.float32] | None, *, num_mfcc: int = 32, norm: str = "int16") -> NDArray[np.float32] | None:
    """MFCC of one clip, shape (F, M); None for a clip without sound. norm peak divides by the loudest sample first."""
    if waveform is None or not waveform.any():
        return None
    if norm == "peak":
        waveform = waveform / np.abs(waveform).max()
    return mfcc(torch.from_numpy(waveform)[None], num_mfcc)[0].numpy()


@lru_cache
def _mel_filters() -> Tensor:
    """Slaney's triangular filters from 0 Hz to half the sample rate, each of unit area; shape (MELS, 1 + FFT/2)."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE / 2), MELS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, 1 + FFT // 2)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)) * area[:, None])


def _hz_to_mel(hz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) * 27 / np.log(6.4)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) * (mel - 15) / 27))


@lru_cache
def _cosines(num_mfcc: int) -> Tensor:
    """The orthonormal DCT-II, shape (M, MELS)."""
    place = np.arange(MELS) + 0.5
    matrix = np.cos(np.pi / MELS * np.arange(num_mfcc)[:, None] * place) * np.sqrt(2 / MELS)
    matrix[0] /= np.sqrt(2)
    return torch.from_numpy(matrix)


# ---- From a clip's MFCC to the chunks of the network -----------------------------------------------------------------


def chunks(mfcc_FM: NDArray[np.float32] | None, *, layout: str, snippets: int, chunk_frames: int, num_mfcc: int, norm: str) -> Tensor:
    """The clip's MFCC as (S, 1, chunk_frames, M); zeros for a clip without sound.

    layout: tile or zero (crop the middle, or fill up what is missing by repeating or with zeros around), head_tile (repeat,
    then keep the head), aligned (equal spans of time, each stretched to a chunk). norm: zscore takes out each coefficient's
    mean and deviation over the clip.
    """
    if mfcc_FM is None or len(mfcc_FM) == 0:
        return torch.zeros(snippets, 1, chunk_frames, num_mfcc)
    if norm == "zscore":
        mfcc_FM = (mfcc_FM - mfcc_FM.mean(0)) / (mfcc_FM.std(0) + 1e-5)
    if layout == "aligned":
        return _aligned(torch.from_numpy(mfcc_FM), snippets, chunk_frames)
    fixed = _fixed_length(mfcc_FM, snippets * chunk_frames, layout)
    return torch.from_numpy(np.ascontiguousarray(fixed)).view(snippets, 1, chunk_frames, -1)


def _fixed_length(mfcc_FM: NDArray[np.float32], length: int, layout: str) -> NDArray[np.float32]:
    have = len(mfcc_FM)
    if layout == "head_tile":
        return mfcc_FM[np.arange(length) % have]
    if have >= length:
        start = (have - length) // 2
        return mfcc_FM[start : start + length]
    if layout == "tile":
        return mfcc_FM[np.arange(length) % have]
    before = (length - have) // 2
    return np.pad(mfcc_FM, ((before, length - have - before), (0, 0)))


def _aligned(mfcc_FM: Tensor, snippets: int, chunk_frames: int) -> Tensor:
    edges = np.linspace(0, len(mfcc_FM), snippets + 1)
    spans = [mfcc_FM[int(a) : max(int(np.ceil(b)), int(a) + 1)].T[None] for a, b in itertools.pairwise(edges)]
    stretched = [torch.nn.functional.interpolate(span, size=chunk_frames, mode="linear", align_corners=False) for span in spans]
    return torch.cat(stretched).transpose(1, 2)[:, None].contiguous()
