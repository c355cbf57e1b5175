import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe")
    parser.add_argument("--release", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    print("fake engine", sys.argv[1:])
    stop: list[int] = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("FAKE_DEAF") else lambda number, frame: stop.append(number))
    checkpoint = args.out / "checkpoints" / "last"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    done = int(checkpoint.read_text()) if args.resume and checkpoint.exists() else 0
    with (args.out / "starts").open("a") as file:
        file.write(f"{os.getpid()} from {done} gpus {os.environ.get('CUDA_VISIBLE_DEVICES', '?')}\n")
    if os.environ.get("FAKE_FAIL") == "train":
        print("RuntimeError: no clip could be read", file=sys.stderr)
        return 1
    for epoch in range(done, int(os.environ.get("FAKE_EPOCHS", "3"))):
        deadline = time.monotonic() + float(os.environ.get("FAKE_EPOCH_S", "0.02"))
        while time.monotonic() < deadline:
            if stop:
                return 3
            time.sleep(0.01)
        with (args.out / "metrics.jsonl").open("a") as file:
            for split in ("train", "val"):
                file.write(json.dumps({"epoch": epoch, "split": split, "loss": 1 / (epoch + 1), "acc": 0.2 * epoch}) + "\n")
        checkpoint.write_text(str(epoch + 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
