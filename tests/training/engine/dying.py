"""training.engine.train under a torchrun that meets with an accident: python -m tests.training.engine.dying WHO STEP ARGUMENTS...

WHO: "torchrun" is killed by its first process in that step, the "last" process kills itself, or "nobody". Each process leaves its number in the run
folder's parent, and at the end the hash of its weights.
"""

import hashlib
import os
import signal
import sys
from pathlib import Path

from training.engine import train


def main(who: str, at: str, *arguments: str) -> int:
    rank, original = int(os.environ["RANK"]), train.Run._step
    folder = Path(arguments[arguments.index("--out") + 1]).parent
    (folder / f"pid-{rank}").write_text(str(os.getpid()))

    def step(self, *given):
        if self.progress.step + 1 == int(at):
            if who == "torchrun" and rank == 0:
                os.kill(os.getppid(), signal.SIGKILL)
            if who == "last" and rank == self.processes.world - 1:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *given)

    def finish(self):
        hashed = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in self.net.parameters()))
        (folder / f"weights-{rank}").write_text(hashed.hexdigest())
        finished(self)

    finished = train.Run._finish
    train.Run._step, train.Run._finish = step, finish
    return train.main(arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
