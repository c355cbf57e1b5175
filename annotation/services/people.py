"""People: making them, importing them, pausing and resuming them. Every change of staff leaves a row with its reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from django.contrib.auth.models import Group as AuthGroup
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Group, Membership, Person, Rung, Sample, StaffChange, TimelineEvent
from annotation.rules.csv_text import unreadable
from annotation.rules.taxonomy import EMOTIONS
from annotation.rules.warnings import FLAGS
from annotation.selectors import LIVE
from annotation.services.ladder import above_available, turn_open
from annotation.services.refusals import BadLines
from annotation.services.turns import seat_fill

FACTORS = ("work_experience", "msceit", "education", "culture", "leadership")
REQUIRED = ("username", "full_name", "gender", "language", *FACTORS)
OPTIONAL = ("role", "group")
CSV_ROLES = ("annotator", "leader", "expert", "manager")


@transaction.atomic
def person_create(
    *,
    username: str,
    full_name: str,
    gender: str,
    password: str | None = None,
    role: str = Person.Role.ANNOTATOR,
    group: Group | str | None = None,
    reason: str = "created",
    **fields: Any,
) -> Person:
    """A new user with the rights of the role, and the person behind it. Without a password nobody can sign in as it yet.

    Raises ValidationError if the username is taken or a value is out of range.
    """
    if User.objects.filter(username=username).exists():
        raise ValidationError(_("The username %(name)s is taken.") % {"name": username}, code="username_taken")
    user = User(username=username)
    user.set_password(password)  # None: no password fits
    user.full_clean(exclude=["password"])
    user.save()
    person = Person(user=user, full_name=full_name, gender=gender, role=role, **fields)
    _check_factors(person)
    person.full_clean(exclude=["user", "opted_out", "preferences"])
    person.save()
    role_grant(person)
    if group is not None:
        person_move(person, _group(group), reason=reason)
    return person


def role_grant(person: Person) -> None:
    """Puts the user into the auth group of the person's role, and out of those of other roles; an admin may enter Django's admin."""
    person.user.groups.remove(*person.user.groups.filter(name__in=Person.Role.values).exclude(name=person.role))
    person.user.groups.add(AuthGroup.objects.get_or_create(name=person.role)[0])
    enters = person.role == Person.Role.ADMIN or person.user.is_superuser
    if person.user.is_staff != enters:
        person.user.is_staff = enters
        person.user.save(update_fields=["is_staff"])


def _check_factors(person: Person) -> None:
    for factor in FACTORS:
        if not 0 <= getattr(person, factor) <= 100:
            raise ValidationError(
                _("%(factor)s is %(value)g, outside 0..100.") % {"factor": factor, "value": getattr(person, factor)}, code="factor"
            )


def _group(group: Group | str) -> Group:
    return group if isinstance(group, Group) else Group.objects.get_or_create(letter=group)[0]


def person_move(person: Person, group: Group | None, *, reason: str, by: User | None = None, kind: str = "moved") -> None:
    """Puts a person into a group (None: the reserve); the membership before it ends now and stays on record."""
    if person.group_id == (group.pk if group else None):
        return
    before = person.group.letter if person.group else ""
    Membership.objects.filter(person=person, ended_at__isnull=True).update(ended_at=timezone.now())
    person.group = group
    person.save(update_fields=["group"])
    if group is not None:
        Membership.objects.create(person=person, group=group, reason=reason[:200])
    detail = {"from": before, "to": group.letter if group else ""}
    StaffChange.objects.create(person=person, kind=kind, reason=reason[:200], by=by, detail=detail)


LABELLING = {"annotation.label", "annotation.lead_group", "annotation.decide_as_expert"}


@transaction.atomic
def person_invite(person: Person, *, by: User | None) -> str:
    """The address, below the site's, at which the person chooses a password: once, within PASSWORD_RESET_TIMEOUT. Any password before it stays until then.

    Whoever hands an address out could use it. So it leaves a row in the history, and is refused (ValidationError) for an account that may
    do more than its maker may, labelling aside: no way up leads over it. by: None for the operator of this machine.
    """
    user = person.user
    more = by and user.get_all_permissions() - LABELLING - by.get_all_permissions()
    if more or (by and user.is_superuser > by.is_superuser):
        raise ValidationError(_("%(name)s may do more than you: an admin makes that link.") % {"name": person}, code="invite")
    if not user.is_active:
        raise ValidationError(_("The account of %(name)s is closed.") % {"name": person}, code="invite")
    StaffChange.objects.create(person=person, kind="invited", by=by)
    named = {"uidb64": urlsafe_base64_encode(force_bytes(user.pk)), "token": default_token_generator.make_token(user)}
    return reverse("first_password", kwargs=named)


def people_without_password() -> list[Person]:
    """Those at work who cannot sign in by a password yet."""
    people = Person.objects.filter(user__is_active=True).select_related("user", "group").order_by("user__username")
    return [person for person in people if not person.user.has_usable_password()]


@transaction.atomic
def person_pause(person: Person, *, reason: str, by: User | None = None, reassign: bool = False) -> int:
    """Gives a person no more work; with reassign the open turns go to others at once, where there are any. Returns how many moved."""
    if not reason.strip():
        raise ValidationError(_("Give a reason; the person will read it."), code="reason_required")
    person.paused_reason = reason.strip()[:200]
    person.save(update_fields=["paused_reason"])
    moved = turns_reassign(person) if reassign else 0
    StaffChange.objects.create(person=person, kind="paused", reason=person.paused_reason, by=by, detail={"reassigned": moved})
    return moved


@transaction.atomic
def person_resume(person: Person, *, reason: str = "", by: User | None = None) -> None:
    """Gives a paused person work again; does nothing for anybody else."""
    if not person.paused_reason:
        return
    before, person.paused_reason = person.paused_reason, ""
    person.save(update_fields=["paused_reason"])
    StaffChange.objects.create(person=person, kind="resumed", reason=reason[:200], by=by, detail={"paused_for": before})


@transaction.atomic
def turns_reassign(person: Person) -> int:
    """Gives an absent person's waiting turns to others, at every rung where someone can take them; returns how many.

    Locks each sample in turn. The person's rows stay as withdrawn, with their drafts.
    """
    turns = Assignment.objects.filter(person=person, round=LABEL, state__in=LIVE)
    events = [_pass_on(turn) for turn in turns.order_by("sample")]
    return len(TimelineEvent.objects.bulk_create([event for event in events if event is not None]))


def _pass_on(turn: Assignment) -> TimelineEvent | None:
    """Gives one waiting turn to someone else; None when it is over, or nobody else can take it now."""
    sample = Sample.objects.select_for_update(no_key=True).get(pk=turn.sample_id)
    withdrawn = {"state": Assignment.State.WITHDRAWN, "lease_token": None, "lease_expires_at": None}
    if not Assignment.objects.filter(pk=turn.pk, state__in=LIVE).update(**withdrawn):
        return None
    if turn.rung == Rung.MEMBER:
        taker = seat_fill(sample, turn.seat)
    else:
        taker = next((other for other in above_available(sample, turn.rung) if other.pk != turn.person_id), None)
        if taker is not None:
            turn_open(sample, taker, rung=turn.rung)
    if taker is None:
        Assignment.objects.filter(pk=turn.pk).update(state=Assignment.State.OPEN)  # better late than never
        return None
    return TimelineEvent(sample=sample, kind="reassigned", person=taker, detail={"rung": turn.rung})


def people_import(source: str | Path | TextIO) -> dict[str, int]:
    """Makes or updates people from a people.csv (docs: CSV columns); {"created", "updated"}. All or nothing.

    Raises BadLines with one message per bad line.
    """
    name, text = _text(source, "people.csv")
    rows, errors = _rows(name, text)
    seen: dict[str, int] = {}
    parsed = []
    for line, row in rows:
        problems, values = _person_values(row)
        username = values.get("username", "")
        if username in seen:
            problems.append(f"username {username} is also on line {seen[username]}")
        seen.setdefault(username, line)
        errors += [f"{name}:{line}: {problem}" for problem in problems]
        parsed.append((line, values))
    if errors:
        raise BadLines(errors)
    return _save(name, parsed)


def _text(source: str | Path | TextIO, default: str) -> tuple[str, str]:
    if isinstance(source, Path):
        try:
            return source.name, source.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadLines([f"{source.name}: not UTF-8: {error.reason} at byte {error.start}"]) from None
    name, text = (default, source) if isinstance(source, str) else (getattr(source, "name", default), source.read())
    return name, text.removeprefix("\ufeff")


def _rows(name: str, text: str) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    if unread := unreadable(name, text):
        raise BadLines(unread)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = reader.fieldnames or []
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown or len(set(header)) < len(header):
        wrong = [f"column {column} is missing" for column in missing] + [f"column {column!r} is unknown" for column in unknown]
        raise BadLines([f"{name}:1: {'; '.join(wrong) or 'a column comes twice'}"])
    rows, errors = [], []
    for row in reader:
        if None in row or None in row.values():
            errors.append(f"{name}:{reader.line_num}: {len(header)} columns expected")
        else:
            rows.append((reader.line_num, {key: value.strip() for key, value in row.items()}))
    if not rows and not errors:
        errors.append(f"{name}:2: no people in the file")
    return rows, errors


def _person_values(row: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    problems: list[str] = []
    values: dict[str, Any] = {key: row[key] for key in ("username", "full_name", "language")}
    values |= {"gender": row["gender"].upper(), "role": row.get("role") or "annotator", "group": row.get("group", "").upper()}
    problems += [f"{key} is empty" for key in ("username", "full_name", "language") if not values[key]]
    if values["gender"] not in {"M", "F"}:
        problems.append(f"gender {row['gender']!r} is neither M nor F")
    if values["role"] not in CSV_ROLES:
        problems.append(f"role {values['role']!r} is not one of {', '.join(CSV_ROLES)}")
    if values["group"] and not (values["group"].isalpha() and values["group"].isascii() and len(values["group"]) <= 2):
        problems.append(f"group {row['group']!r} is not a letter")
    for factor in FACTORS:
        try:
            values[factor] = float(row[factor])
        except ValueError:
            problems.append(f"{factor} {row[factor]!r} is not a number")
            continue
        if not 0 <= values[factor] <= 100:  # also refuses nan
            problems.append(f"{factor} {row[factor]} is outside 0..100")
    return problems, values


@transaction.atomic
def _save(name: str, parsed: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, int]:
    errors: list[str] = []
    counts = {"created": 0, "updated": 0}
    known = {person.user.username: person for person in Person.objects.select_related("user", "group")}
    for line, values in parsed:
        try:
            with transaction.atomic():
                created = _create_or_update(known.get(values["username"]), values)
        except ValidationError as error:
            errors.append(f"{name}:{line}: {' '.join(error.messages)}")
            continue
        counts["created" if created else "updated"] += 1
    if errors:
        raise BadLines(errors)  # rolls everything back
    return counts


def _create_or_update(person: Person | None, values: dict[str, Any]) -> bool:
    fields = {key: value for key, value in values.items() if key != "group"}
    if person is None:
        person_create(**fields, group=values["group"] or None, reason="imported")
        return True
    if person.role not in CSV_ROLES:  # whoever manages people must not unseat an admin with a file
        raise ValidationError(f"{values['username']} is {person.role}, which a file neither gives nor takes", code="role")
    before = person.role
    for key, value in fields.items():
        if key != "username":
            setattr(person, key, value)
    person.full_clean(exclude=["user", "opted_out", "preferences"])
    person.save()
    role_grant(person)
    if person.role != before:
        StaffChange.objects.create(person=person, kind="role", detail={"from": before, "to": person.role}, reason="imported")
    if values["group"]:
        person_move(person, _group(values["group"]), reason="imported")
    return False


def preferences_save(person: Person, *, preferences: dict[str, Any] | None = None, opted_out: list[str] | None = None) -> None:
    """Keeps a person's own settings; the caller has checked their shape."""
    if preferences is not None:
        person.preferences = {**person.preferences, **preferences}
    if opted_out is not None:
        person.opted_out = sorted(set(opted_out))
    person.save(update_fields=["preferences", "opted_out"])


def opt_outs_known() -> tuple[str, ...]:
    """Emotions and content flags that a person may opt out of."""
    return (*EMOTIONS, *FLAGS)
