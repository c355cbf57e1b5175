"""Trials of the labelling protocol on simulated annotators, asked for on the site and run in the background (Sec. III-D)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from django.core.exceptions import ValidationError

from qa import selectors
from qa.models import SimulationJob
from qa.rules.protocol import Settings, simulate
from qa.services.jobs import job_ending, job_take

FEWEST_SAMPLES, MOST_SAMPLES = 100, 200_000  # the most: some ten seconds and half a gigabyte of a worker


def simulation_ask(
    *, num_samples: int, seed: int, settings: Settings, people_from_data: bool = False, mix_from_data: bool = False, user: Any = None
) -> SimulationJob:
    """A waiting job. mix_from_data: the labels of now in place of the settings' class mix. Raises ValidationError for impossible numbers."""
    if not FEWEST_SAMPLES <= num_samples <= MOST_SAMPLES:
        raise ValidationError(f"The number of samples must be {FEWEST_SAMPLES:,} to {MOST_SAMPLES:,}, got {num_samples:,}.", code="samples")
    chosen = asdict(settings) | ({"class_mix": selectors.class_mix()} if mix_from_data else {})
    if sum(chosen["class_mix"]) <= 0:
        raise ValidationError("No video has a label yet: choose another class mix.", code="mix")
    return SimulationJob.objects.create(
        num_samples=num_samples, seed=seed, settings=chosen, people_from_data=people_from_data, created_by=user
    )


def simulation_run(simulation_id: int) -> SimulationJob | None:
    """Runs a simulation and keeps its numbers; one that is over, or that another worker has, is left alone."""
    job = job_take(SimulationJob, simulation_id)
    if job is None:
        return None
    with job_ending(job) as outcome:
        settings = Settings(**job.settings | {"class_mix": tuple(job.settings["class_mix"])})
        outcome["numbers"] = simulation_numbers(job.num_samples, settings, seed=job.seed, people_from_data=job.people_from_data)
    job.refresh_from_db()
    return job


def simulation_numbers(num_samples: int, settings: Settings, *, seed: int, people_from_data: bool = False) -> dict[str, Any]:
    """The simulation's numbers, and how many people of each role were measured. Raises ValidationError for impossible settings."""
    measured = selectors.measured_people() if people_from_data else {}
    try:
        found = simulate(num_samples, settings, rng=np.random.default_rng(seed), measured=measured)
    except ValueError as error:
        raise ValidationError(f"{error}.", code="settings") from error
    return asdict(found) | {"measured": {role: len(people) for role, people in measured.items()}}
