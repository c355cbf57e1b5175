"""A second opinion beside the vote: models of annotators and items (Dawid–Skene, GLAD, MACE; crowd-kit's implementations).

The vote stays the label; these say how sure one may be, who is able at what, and which labels deserve a second look.
Votes come as three parallel arrays: sample, rater and category codes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
MODELS = ("dawid_skene", "glad", "mace")


@dataclass(frozen=True)
class Opinion:
    """posterior: (num_samples, num_categories), rows summing to 1, in the order of `samples`; abilities: per rater in `raters`.

    An ability is the chance that the rater says the true emotion (Dawid–Skene: weighted by how frequent emotions are;
    MACE: that the rater did not guess; GLAD: its α, unbounded). difficulty: GLAD only, 1/β per sample.
    """

    samples: Ints
    posterior: Floats
    raters: Ints
    abilities: Floats
    difficulty: Floats | None = None


def second_opinion(samples: Ints, raters: Ints, votes: Ints, *, num_categories: int, model: str = "dawid_skene") -> Opinion:
    """What the model makes of the votes. Raises ValueError without votes or for an unknown model."""
    if not len(votes):
        raise ValueError("there is no vote to learn from")
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}: choose one of {', '.join(MODELS)}")
    fit = {"dawid_skene": _dawid_skene, "glad": _glad, "mace": _mace}[model]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="crowdkit")  # it calls pandas in ways that pandas 4 will drop
        return fit(samples, raters, votes, num_categories)


def doubtful(labels: Ints, posterior: Floats, *, limit: int) -> Ints:
    """Positions of the labels the model believes least, most doubtful first; only those below one half."""
    belief = posterior[np.arange(len(labels)), labels]
    order = np.argsort(belief, kind="stable")
    return order[belief[order] < 0.5][:limit]


def _frame(samples: Ints, raters: Ints, votes: Ints):
    import pandas as pd

    return pd.DataFrame({"task": samples, "worker": raters, "label": votes})


def _posterior(probabilities, num_categories: int) -> tuple[Ints, Floats]:
    """crowd-kit answers only the categories that occur, and not always in order."""
    table = probabilities.reindex(columns=range(num_categories), fill_value=0.0).sort_index()
    values = table.to_numpy(dtype=float)
    return table.index.to_numpy(), values / values.sum(axis=1, keepdims=True)


def _dawid_skene(samples: Ints, raters: Ints, votes: Ints, num_categories: int) -> Opinion:
    from crowdkit.aggregation import DawidSkene

    fitted: Any = DawidSkene(n_iter=50).fit(_frame(samples, raters, votes))
    index, posterior = _posterior(fitted.probas_, num_categories)
    people = np.unique(raters)
    prior = fitted.priors_
    abilities = []
    for person in people:
        confusion = fitted.errors_.loc[person]  # rows: said; columns: true
        known = [label for label in prior.index if label in confusion.index]
        abilities.append(float(sum(prior[label] * confusion.loc[label, label] for label in known)))
    return Opinion(index, posterior, people, np.array(abilities))


def _glad(samples: Ints, raters: Ints, votes: Ints, num_categories: int) -> Opinion:
    from crowdkit.aggregation import GLAD

    fitted = GLAD(n_iter=20, m_step_max_iter=10, silent=True).fit(_frame(samples, raters, votes))
    index, posterior = _posterior(fitted.probas_, num_categories)
    people = np.unique(raters)
    difficulty = 1 / np.exp(fitted.betas_.reindex(index).to_numpy(dtype=float))
    return Opinion(index, posterior, people, fitted.alphas_.reindex(people).to_numpy(dtype=float), difficulty)


def _mace(samples: Ints, raters: Ints, votes: Ints, num_categories: int) -> Opinion:
    from crowdkit.aggregation import MACE

    fitted = MACE(n_restarts=3, n_iter=30, random_state=0).fit(_frame(samples, raters, votes))
    index, posterior = _posterior(fitted.probas_, num_categories)
    people = np.unique(raters)
    spamming = np.asarray(fitted.spamming_)  # (num_raters, 2): how often one is trusted and how often one guesses
    return Opinion(index, posterior, people, spamming[: len(people), 1] / spamming[: len(people)].sum(axis=1))


def dawid_skene_posterior(votes: Ints, people: Ints, *, num_categories: int, num_iterations: int = 20) -> Floats:
    """Dawid–Skene on a dense table of votes, (num_samples, num_votes) with −1 for none: the same model as crowd-kit's, by whole arrays.

    A simulation of 10^5 samples fits it several times; crowd-kit's tables would take minutes (the tests hold the two together).
    """
    _, rater = np.unique(people, return_inverse=True)
    rater = rater.reshape(votes.shape)
    num_raters = int(rater.max()) + 1
    counts = np.stack([(votes == category).sum(axis=1) for category in range(num_categories)], axis=1)
    posterior = counts / counts.sum(axis=1, keepdims=True)
    cast = votes >= 0
    cell = np.where(cast, rater * num_categories + votes, num_raters * num_categories)  # last cell: no vote
    for _ in range(num_iterations):
        said = np.stack(
            [
                np.bincount(cell.ravel(), weights=np.repeat(posterior[:, label], votes.shape[1]), minlength=num_raters * num_categories + 1)
                for label in range(num_categories)
            ],
            axis=1,
        )
        per_rater = said[:-1].reshape(num_raters, num_categories, num_categories)
        errors = (per_rater + 1e-10) / (per_rater.sum(axis=1, keepdims=True) + 1e-10)
        logs = np.concatenate([np.log(errors).reshape(-1, num_categories), np.zeros((1, num_categories))])
        log_posterior = np.log(posterior.mean(axis=0) + 1e-10) + sum(logs[cell[:, i]] for i in range(votes.shape[1]))
        posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior
