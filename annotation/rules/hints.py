"""How sure one can be of a share, and of the difference between two."""

from __future__ import annotations

import math

Z = 1.959963984540054  # 95 %


def share_interval(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of right/of by Wilson. Raises ValueError where there is nothing to count, or more right than there is."""
    if not 0 <= right <= of or not of:
        raise ValueError(f"{right} of {of} is no share")
    share, weight = right / of, Z * Z / of
    middle = (share + weight / 2) / (1 + weight)
    half = Z / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float, float]:
    """The first share less the second, with its 95 % interval by Newcombe; each is given as (right, of)."""
    p, q = first[0] / first[1], second[0] / second[1]
    (p_low, p_high), (q_low, q_high) = share_interval(*first), share_interval(*second)
    down, up = math.hypot(p - p_low, q_high - q), math.hypot(p_high - p, q - q_low)
    return p - q, p - q - down, p - q + up
