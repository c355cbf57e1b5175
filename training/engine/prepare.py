"""Makes the store of a release: python -m training.engine.prepare --release DIR [--recipe R] [--store DIR] [--workers N] [--verify].

It can be stopped and run again: what is done is not done twice, and a proxy is either whole or not there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import get_ident

import numpy as np
import torch
from safetensors.numpy import save

from training.engine import audio, clips, store
from training.engine.console import RECIPE, tells_in_one_line
from training.engine.recipes import RECIPES, Recipe, overridden
from training.engine.releases import PARTS, Sample, samples_of

Progress = Callable[[int, int, str], None]


def prepare(
    samples: Sequence[Sample], folder: Path, recipe: Recipe, *, workers: int, progress: Progress | None = None
) -> list[store.Entry]:
    """Entries of all samples, in their order, made where the store has none that is good.

    An entry with an error says why its clip cannot be used; it is tried again next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {k: e for k, e in store.read_index(folder).items() if not e.error and (folder / e.proxy).is_file()}
    found = [_looked_up(sample, known) for sample in samples]
    todo = [s for s, entry in zip(samples, found, strict=True) if entry is None]
    made = {}
    with (folder / "index.jsonl").open("a", encoding="utf-8") as index, closing(_made(todo, folder, recipe, workers)) as entries:
        if index.tell():
            index.write("\n")  # a kill may have cut the last line short; the next must not be written on to it
        for number, (sample, entry) in enumerate(zip(todo, entries, strict=True), 1):
            index.write(entry.line())
            index.flush()
            made[sample.name] = entry
            if progress:
                progress(number, len(todo), sample.name)
    return [entry or made[sample.name] for sample, entry in zip(samples, found, strict=True)]


def _looked_up(sample: Sample, known: dict[store.Key, store.Entry]) -> store.Entry | None:
    try:
        return known.get(store.key_of(sample))
    except clips.Unusable as error:
        return store.Entry(sample.name, 0, 0, error=str(error))


def _made(todo: Sequence[Sample], folder: Path, recipe: Recipe, workers: int) -> Generator[store.Entry]:
    """Entries in the order of todo, by that many threads; closed early, it leaves undone what is not begun.

    Threads, since decoding, scaling, JPEG and MFCC let other threads run, and a process forked beside threads can hang for ever.
    """
    pool, threads = ThreadPoolExecutor(max(workers, 1)), torch.get_num_threads()
    torch.set_num_threads(1)  # or torch would start as many again in each of them
    try:
        yield from pool.map(partial(make_proxy, folder=folder, recipe=recipe), todo)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def make_proxy(sample: Sample, folder: Path, recipe: Recipe) -> store.Entry:
    """Decodes one clip and writes its proxy; the entry tells of the error if it cannot."""
    name, size, mtime_ns = store.key_of(sample)
    try:
        digest = sha256_of(sample.path)
        path = folder / digest[:2] / f"{digest}.safetensors"
        tensors = _tensors(sample.path, recipe)
        data = save(tensors)
        path.parent.mkdir(exist_ok=True)
        _write_whole(path, data)
    except clips.Unusable as error:
        return store.Entry(name, size, mtime_ns, error=str(error))
    frames = len(tensors["offsets"]) - 1
    proxy = str(path.relative_to(folder))
    return store.Entry(name, size, mtime_ns, proxy, hashlib.sha256(data).hexdigest(), frames, "mfcc" in tensors)


def _tensors(path: Path, recipe: Recipe) -> dict[str, np.ndarray]:
    jpegs = [store.to_jpeg(frame) for frame in clips.all_frames(path, recipe.crop)]
    offsets = np.cumsum([0, *map(len, jpegs)]).astype(np.int64)
    tensors = {"offsets": offsets}
    if jpegs:
        tensors["jpeg"] = np.frombuffer(b"".join(jpegs), np.uint8)
    coefficients = audio.clip_mfcc(clips.waveform(path), num_mfcc=recipe.num_mfcc, norm=recipe.waveform_norm)
    if coefficients is not None:
        tensors["mfcc"] = np.ascontiguousarray(coefficients)
    if not jpegs and coefficients is None:
        raise clips.Unusable(path, "it holds neither picture nor sound")
    return tensors


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    """All of it or nothing: a kill leaves no half proxy behind."""
    part = path.with_suffix(f".{os.getpid()}-{get_ident()}.part")  # two clips of the same bytes may be written at once
    part.write_bytes(data)
    part.replace(path)


def damaged(folder: Path) -> list[str]:
    """Proxies of the store whose bytes are not those that were written."""
    newest = {e.proxy: e for e in store.read_index(folder).values() if e.proxy}  # a file touched since has two entries of one proxy
    return [e.proxy for e in newest.values() if not (folder / e.proxy).is_file() or sha256_of(folder / e.proxy) != e.proxy_sha256]


@tells_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.engine.prepare", description=__doc__)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--recipe", default="avcanet", **RECIPE)
    parser.add_argument("--store", default="", help="a folder; without it, beside the release")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--verify", action="store_true", help="check the checksum of every proxy, and make nothing")
    options = parser.parse_args(arguments)
    recipe = RECIPES[options.recipe]()
    if options.store:
        recipe = overridden(recipe, {"store": options.store})
    folder = store.store_folder(options.release, recipe)
    if options.verify:
        return _report([f"{folder / name}: its checksum differs; delete it and prepare again" for name in damaged(folder)])
    samples = [s for part in PARTS for s in samples_of(options.release, part, recipe.classes)]
    entries = prepare(samples, folder, recipe, workers=options.workers, progress=_print_progress)
    print(f"{sum(not e.error for e in entries)} of {len(entries)} clips prepared in {folder}")
    return _report([e.error for e in entries if e.error])


def _print_progress(done: int, total: int, name: str) -> None:
    if sys.stderr.isatty() or done == total or done % 50 == 0:
        print(f"prepared {done}/{total} {name}", file=sys.stderr)


def _report(errors: Sequence[str]) -> int:
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
