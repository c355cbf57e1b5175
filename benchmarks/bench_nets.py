"""Every network of the registry at full size on one clip: parameters beside the published count, FLOPs, forward and backward time, peak memory.

FLOPs are torch's own count (a multiplication and an addition are two) of a forward pass on the meta device. Each network is timed in a process of its own,
on the GPU where there is one; else in processor seconds, which other work beside changes little, with as many threads as OMP_NUM_THREADS says.
`python -m benchmarks.bench_nets NAME` measures one network.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPEATS = 2
CHECKOUT = Path(__file__).parent.parent
# Millions, as the authority counts them, at its own number of classes and input size; ours at six classes and 32 coefficients differ by that alone.
PUBLISHED_M = {
    "avcanet": 69.2,
    "resnet34_audio": 21.3,
    "cnn14": 80.8,
    "ecapa_tdnn": 6.2,
    "res2net": 5.6,
    "campplus": 7.2,
    "video_swin_t": 27.85,
    "i3d": 12.3,
    "slowfast_r50": 34.6,
    "cten": 135.3,
    "former_dfer": 18.0,
    "timesformer": 121.3,
    "dfer_clip": 153.4,
    "c3d": 78.0,
    "vaanet": 97.9,
    "ogm_ge": 22.4,
    "msaf": 25.9,
    "mmcosine": 22.4,
    "resnet3d50_resnet34": 67.5,
    "convnext_cspdarknet53": 54.4,
}


def measure(*, peers: bool = False, only: Sequence[str] = ()) -> dict[str, Any]:
    """Figures by network. The published parameter count is each one's limit; there is no peer that installs beside a CPU torch."""
    from training.nets import NETS

    figures = {}
    for name in only or NETS:
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_nets", name], cwd=CHECKOUT, capture_output=True, text=True, timeout=3600, check=False
        )
        if child.returncode:
            raise RuntimeError(f"{name}: {child.stderr.strip().splitlines()[-1]}")
        figures[name] = json.loads(child.stdout)
        print(f"{name:24}" + "  ".join(f"{key} {value}" for key, value in figures[name].items()), flush=True)
    return figures


def one(name: str) -> dict[str, Any]:
    import torch

    from training.nets import NETS

    with torch.device("meta"):
        flops = count_flops(NETS[name](num_classes=6))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = NETS[name](num_classes=6).to(device).train()
    video, audio = torch.randn(2, 16, 3, 8, 112, 112, device=device), torch.randn(2, 16, 1, 256, 32, device=device)
    forward, both = timed(net, video, audio)
    millions = sum(p.numel() for p in net.parameters()) / 1e6
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "params_m": round(millions, 2),
        "trained_m": round(sum(p.numel() for p in net.parameters() if p.requires_grad) / 1e6, 2),
        "published_m": PUBLISHED_M.get(name),
        "gflops": round(flops / 1e9, 1),
        "forward_s_per_clip": round(forward / 2, 3),
        "forward_backward_s_per_clip": round(both / 2, 3),
        "peak_gib": round(peak / 2**30, 2),
        "device": device,
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def count_flops(net: Any, video: Sequence[int] = (16, 3, 8, 112, 112), audio: Sequence[int] = (16, 1, 256, 32)) -> int:
    """Of the forward pass of one clip of these shapes, which alone decide it: nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.device("meta"), torch.no_grad():
        net.eval()(torch.empty(1, *video), torch.empty(1, *audio))
    return counter.get_total_flops()


def timed(net: Any, video: Any, audio: Any) -> tuple[float, float]:
    """Median seconds (processor seconds without a GPU) of a forward pass, and of forward and backward, on the two clips (batch norm wants two)."""
    import torch

    def now() -> float:
        if not video.is_cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    took: dict[str, list[float]] = {"forward": [], "both": []}
    for _ in range(REPEATS):
        started = now()
        loss = net(video, audio).logits.square().mean()
        took["forward"].append(now() - started)
        loss.backward()
        took["both"].append(now() - started)
    return statistics.median(took["forward"]), statistics.median(took["both"])


if __name__ == "__main__":
    print(json.dumps(one(sys.argv[1])))
