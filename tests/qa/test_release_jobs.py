"""Releases asked for on the site whose worker dies: made once, whole, and what was registered stays as it was."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Sample
from qa import services
from qa.models import Release, ReleaseJob
from qa.services import release_jobs


@pytest.fixture
def job(dataset, settings, tmp_path):
    settings.RELEASES_DIR = tmp_path / "releases"
    return services.releases_ask(["all"], seed=1)[0]


def test_a_worker_that_dies_after_the_release_is_registered_harms_it_not(job, dataset, monkeypatch):
    """The next worker would have swept the folder away and, with a label changed since, put another release into its place."""
    monkeypatch.setattr("qa.services.jobs._end", lambda *args, **values: None)  # killed before the job's end is written
    made = services.release_job_run(job.pk)
    monkeypatch.undo()
    Sample.objects.filter(pk=dataset[0].pk).update(label="Fear" if dataset[0].label != "Fear" else "Tension")
    ReleaseJob.objects.update(alive_at=timezone.now() - timedelta(hours=1))
    assert services.release_job_run(job.pk) == made
    job.refresh_from_db()
    assert (job.state, job.release, Release.objects.count()) == ("done", made, 1)
    assert services.release_verify(made.folder) == []


def test_writing_tables_after_the_last_clip_is_a_sign_of_life(job, monkeypatch):
    told = []
    monkeypatch.setattr(release_jobs._Progress, "__call__", lambda self, done, total: told.append((done, total)))
    job.options |= {"media": "none", "formats": ["csv", "lists"]}
    job.save()
    services.release_job_run(job.pk)
    assert told == [(37, 37)] * 2
