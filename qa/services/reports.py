"""Measuring everything at once and keeping it, so that pages open at once and a change can be shown."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotation.services import announce
from crawler.selectors import is_large
from qa import selectors
from qa.export.opinions import write_opinions
from qa.models import ConsistencyReport, Release
from qa.services.releases import release_verify

OPINIONS = "opinions"  # the stage name of a report of the three models
STATISTICS = "dataset"  # the stage name of the dataset's statistics
EVERYTHING = "all"  # the stage name of a report about all stages and the agreement of the label round


def report_make() -> ConsistencyReport:
    """A report on every drawn stage, on agreement and on labels worth a second look; when nothing has changed, the last one."""
    numbers: dict[str, Any] = {
        "stages": [selectors.as_numbers(selectors.stage_scores(stage)) for stage in selectors.stages()],
        "agreement": selectors.agreement_numbers(),
        "second_look": selectors.second_look(),
    }
    last = selectors.last_report()
    if last and last.numbers == numbers:
        return last
    with transaction.atomic():
        made = ConsistencyReport.objects.create(stage=EVERYTHING, numbers=numbers)
        announce("report.made", _headline(made))
    return made


def _headline(report: ConsistencyReport) -> dict[str, Any]:
    """What a receiver of announcements is told; the API has the rest."""
    overall = report.numbers["agreement"]["overall"]
    return {
        "report": report.pk,
        "measured_at": report.created_at,
        "num_samples": report.numbers["agreement"]["num_samples"],
        "agreement": {name: row["value"] for name, row in overall.items()},
        "stages": [{key: stage[key] for key in ("stage", "mean", "variance", "open_turns")} for stage in report.numbers["stages"]],
        "second_look": len(report.numbers["second_look"]),
    }


def opinions_make() -> ConsistencyReport:
    """What Dawid–Skene, GLAD and MACE make of the votes, kept, and all of it as files; when nothing has changed, the last one."""
    found = selectors.opinions_fitted()
    write_opinions(settings.OPINIONS_DIR, selectors.opinions_whole(found))
    numbers = selectors.opinions_numbers(found)
    last = selectors.last_report(OPINIONS)
    if last and last.numbers == numbers:
        return last
    return ConsistencyReport.objects.create(stage=OPINIONS, numbers=numbers)


def statistics_make() -> ConsistencyReport | None:
    """The dataset's statistics, kept for its page, where there are so many videos that the page cannot work them out; else None.

    Only the latest are kept: unlike agreement, they are no measurement of people.
    """
    if not is_large():
        return None
    numbers = selectors.dataset_numbers()
    with transaction.atomic():
        ConsistencyReport.objects.filter(stage=STATISTICS).delete()
        return ConsistencyReport.objects.create(stage=STATISTICS, numbers=numbers)


def release_check(release_id: int) -> list[str]:
    """Verifies a registered release and keeps the outcome; answers what is wrong."""
    release = Release.objects.get(pk=release_id)
    problems = release_verify(release.path)
    Release.objects.filter(pk=release_id).update(verified_at=timezone.now(), problems=problems[:50])
    return problems
