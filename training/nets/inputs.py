"""How a network takes what it needs from a sample cut into snippets.

B batch, S snippets, C channels, T frames, H height, W width, Q audio frames of one snippet, F coefficients of one audio frame.
"""

from torch import Tensor


def fold(x: Tensor) -> Tensor:
    """(B, S, ...) as (B·S, ...): every snippet a clip of its own."""
    return x.flatten(0, 1)


def unfold(x: Tensor, batch: int) -> Tensor:
    """(B·S, ...) back as (B, S, ...)."""
    return x.unflatten(0, (batch, -1))


def middle_frames(video_BSCTHW: Tensor) -> Tensor:
    """The frame in the middle of each snippet, (B, S, C, H, W): what a network of single pictures sees."""
    return video_BSCTHW[:, :, :, video_BSCTHW.shape[3] // 2]


def audio_sequence(audio_BS1QF: Tensor) -> Tensor:
    """The snippets' sound put back together, (B, S·Q, F): what a network of whole utterances hears."""
    return audio_BS1QF.squeeze(2).flatten(1, 2)
