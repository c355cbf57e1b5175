"""Simulated annotators: programs that label through the HTTP API as signed-in users, each with its own confusion matrix.

They stand in for people in the demo and in tests, and are called simulated wherever their names appear.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests

from annotation.rules.taxonomy import ADJECTIVES, EMOTIONS

TIMEOUT_S = 120  # thirteen password checks at once on a busy machine
IDLE_S = 0.1


def confusion_matrix(rng: np.random.Generator, *, ability: float) -> np.ndarray:
    """Rows true, columns said, shape (6, 6), rows sum to 1: right about `ability` of the time, else spread unevenly."""
    k = len(EMOTIONS)
    matrix = rng.dirichlet(np.full(k, 0.6), size=k) * (1 - ability)
    matrix[np.arange(k), np.arange(k)] += np.clip(ability + rng.normal(0, 0.05, k), 0.3, 0.98)
    return matrix / matrix.sum(axis=1, keepdims=True)


@dataclass
class SimulatedAnnotator:
    """One signed-in user. `truth` tells the emotion of a sample; a real person would have watched the clip."""

    site: str
    username: str
    password: str
    seed: int
    ability: float
    truth: Callable[[int], str]
    votes: int = 0
    session: requests.Session = field(default_factory=requests.Session)
    lease: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.matrix = confusion_matrix(self.rng, ability=self.ability)

    def sign_in(self) -> None:
        """As a browser does it: the form, its token, the session; once. Raises RuntimeError if the site says no."""
        if "sessionid" in self.session.cookies:
            return
        self.session.get(f"{self.site}/sign-in/", timeout=TIMEOUT_S).raise_for_status()
        form = {"username": self.username, "password": self.password, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        headers = {"Referer": f"{self.site}/sign-in/"}
        answer = self.session.post(f"{self.site}/sign-in/", data=form, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code != 302:
            raise RuntimeError(f"{self.username} could not sign in: {answer.status_code}")

    def post(self, route: str, body: dict[str, Any]) -> requests.Response:
        headers = {"X-CSRFToken": self.session.cookies["csrftoken"] or "", "Referer": f"{self.site}/annotate/"}
        return self.session.post(f"{self.site}/api/v1/{route}", json=body, headers=headers, timeout=TIMEOUT_S)

    def label_next(self) -> bool:
        """Takes the next sample and votes. False when nothing waits for this user. Raises requests.HTTPError on a refusal."""
        answer = self.post("assignments/next", {"lease_token": self.lease})
        answer.raise_for_status()
        if answer.status_code == 204:
            return False
        turn = answer.json()
        said = self.say(self.truth(turn["sample"]))
        vote = {"client_id": str(uuid.uuid4()), "lease_token": self.lease, **said}
        self.post(f"assignments/{turn['assignment']}/submit", vote).raise_for_status()
        self.votes += 1
        return True

    def say(self, emotion: str) -> dict[str, Any]:
        """An adjective and a confidence: surer when right, as people are (the paper's mean is 0.7)."""
        row = self.matrix[EMOTIONS.index(emotion)]
        chosen = EMOTIONS[int(self.rng.choice(len(EMOTIONS), p=row))]
        adjectives = [adjective.key for adjective in ADJECTIVES if adjective.emotion == chosen]
        mean = 0.75 if chosen == emotion else 0.6
        confidence = float(np.clip(self.rng.normal(mean, 0.12), 0.05, 1.0))
        return {"adjective": str(self.rng.choice(adjectives)), "confidence": round(confidence, 2)}


def label_until(annotators: Sequence[SimulatedAnnotator], done: Callable[[], bool], *, stall_s: float = 120) -> int:
    """All label at once, each in a thread, until done() holds; gives the votes cast.

    Raises RuntimeError when nobody has had anything to do for stall_s seconds though work is left.
    """
    finished = threading.Event()
    last_vote = [time.monotonic()]

    def work(annotator: SimulatedAnnotator) -> None:
        try:
            annotator.sign_in()
            while not finished.is_set():
                if annotator.label_next():
                    last_vote[0] = time.monotonic()
                else:
                    finished.wait(IDLE_S)
        except BaseException:
            finished.set()
            raise

    before = sum(annotator.votes for annotator in annotators)
    with ThreadPoolExecutor(len(annotators)) as pool:
        workers = [pool.submit(work, annotator) for annotator in annotators]
        while not finished.is_set() and not done():
            if time.monotonic() - last_vote[0] > stall_s:
                finished.set()
                raise RuntimeError(f"work is left but nobody was given any for {stall_s:.0f} s")
            time.sleep(IDLE_S)
        finished.set()
        for worker in workers:
            worker.result()
    return sum(annotator.votes for annotator in annotators) - before
