"""Sample people for the demo: made-up names, generated passwords, seeded scores. All labellers are simulated and say so."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

MEN = ["Bo Chen", "Carl Diaz", "Dewei Fang", "Emil Gruber", "Farid Haddad", "Gang Ito"]
WOMEN = ["Hanna Jin", "Ines Kaya", "Jia Li"]
CARELESS = [("Tom Udo", "M"), ("Vera Wu", "F")]  # sit the labelling test and fail it
LEADERS = [("Karim Mo", "M"), ("Lan Ning", "F"), ("Mei Ortiz", "F")]
STAFF = [
    ("expert", "Nora Pan", "F", "expert"),
    ("manager", "Oskar Qin", "M", "manager"),
    ("engineer", "Ping Rao", "F", "data_engineer"),
    ("researcher", "Qiang Sato", "M", "researcher"),
    ("admin", "Rosa Tan", "F", "admin"),
]
FACTORS = ("work_experience", "msceit", "education", "culture", "leadership")


@dataclass(frozen=True)
class SamplePerson:
    username: str
    full_name: str
    gender: str
    role: str
    password: str
    is_simulated: bool
    care: float  # share of clear cases that they get right
    factors: dict[str, float]


def sample_people(passwords: Path, *, seed: int) -> list[SamplePerson]:
    """Nine annotators and two who will not pass, three leaders, and one each of the staff. Passwords are made once and kept in a file of mode 0600."""
    rng = np.random.default_rng(seed)
    known = json.loads(passwords.read_text()) if passwords.exists() else {}
    roster = [(name.split()[0].lower(), name, gender, "annotator") for name, gender in members()]
    roster += [(f"leader-{name.split()[0].lower()}", name, gender, "leader") for name, gender in LEADERS]
    roster += STAFF
    people = []
    for username, name, gender, role in roster:
        low = 70 if role == "leader" else 40
        factors = {factor: round(float(rng.uniform(low, 100)), 1) for factor in FACTORS}
        password = known.setdefault(username, secrets.token_urlsafe(9))
        care = 0.6 if (name, gender) in CARELESS else 0.985
        people.append(SamplePerson(username, name, gender, role, password, role in {"annotator", "leader", "expert"}, care, factors))
    write_private(passwords, json.dumps(known))
    return people


def members() -> list[tuple[str, str]]:
    return [(name, "M") for name in MEN] + [(name, "F") for name in WOMEN] + CARELESS


def write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def as_arguments(person: SamplePerson) -> dict[str, Any]:
    """What annotation.services.person_create takes."""
    fields = asdict(person)
    return {**{key: value for key, value in fields.items() if key not in {"factors", "care"}}, **person.factors}
