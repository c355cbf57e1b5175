"""The page of one training run."""

from __future__ import annotations

import json

from qa.models import Release
from tests.browser.driving import Page
from tests.factories import UserFactory
from training.models import Run


def curves(page: Page) -> dict[str, str]:
    """The path of each curve of the loss, by its series."""
    return page.js(
        "return Object.fromEntries([...document.querySelectorAll('[data-metric=loss] path.curve')]"
        ".map((curve) => [curve.parentNode.classList[0], curve.getAttribute('d')]))"
    )


def test_an_epochs_numbers_are_a_curve_beside_those_of_the_steps(page: Page, labelling, tmp_path) -> None:
    rows = [{"split": "train", "step": step, "loss": 2 / step} for step in range(1, 61)]
    rows += [{"split": "val", "epoch": epoch, "step": 20 * epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    release = Release.objects.create(name="all-1", variant="all", seed=1, path=str(tmp_path), sha256="0" * 64, counts={})
    run = Run.objects.create(recipe="debug", release=release, state="finished", folder=str(tmp_path))
    UserFactory(username="rhea", role="researcher")
    page.sign_in("rhea", then=f"/train/{run.pk}/")
    page.wait(lambda: len(curves(page)) == 2, "both curves are drawn")
    assert {series: path.count("L") for series, path in curves(page).items()} == {"series-0": 59, "series-1": 2}
