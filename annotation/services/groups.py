"""Groups: solving for the most even ones (Eq. 1), and exchanging people between them (Sec. III-C)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import LABEL, Assignment, Group, Person, Rung, StaffChange, TimelineEvent
from annotation.rules.staffing import MEN, WOMEN, Allocation, Candidate, allocation_score, groups_balance
from annotation.services.people import person_move, role_grant
from annotation.services.refusals import Conflict

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
AT_ONCE = 500  # turns per statement


@dataclass(frozen=True)
class Proposal:
    """Who would work where: letters to usernames, and how even that is."""

    allocation: Allocation
    letters: tuple[str, ...]
    unqualified: tuple[str, ...]  # usernames; they get no clips until they pass the labelling test

    def as_rows(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for letter, staff in zip(self.letters, self.allocation.groups, strict=True):
            members = [person.key for person in staff.members]
            rows.append({"group": letter, "members": members, "leader": staff.leader.key, "p": round(staff.p, 3)})
        return rows


def score(person: Person) -> float:
    """p of Eq. 1 for a person."""
    return allocation_score(person.work_experience, person.msceit, person.education, person.culture, person.leadership)


def groups_propose(*, num_groups: int | None = None) -> Proposal:
    """The most even groups that the people at work allow; as many as they suffice for unless told.

    Who has not passed the labelling test is placed too, but gets no clips before passing (Proposal.unqualified).
    Raises ValidationError naming who is missing.
    """
    people = Person.objects.select_related("user").filter(
        user__is_active=True, paused_reason="", role__in=[Person.Role.ANNOTATOR, Person.Role.LEADER]
    )
    candidates = [
        Candidate(person.user.username, person.gender, score(person), person.role == Person.Role.LEADER, person.leadership)
        for person in people
    ]
    wanted = num_groups or max(1, _most_groups(candidates))
    try:
        allocation = groups_balance(candidates, num_groups=wanted)
    except ValueError as error:
        raise ValidationError(f"{error}.", code="too_few_people") from None
    waiting = [person.user.username for person in people if person.role == Person.Role.ANNOTATOR and person.qualified_at is None]
    return Proposal(allocation, tuple(LETTERS[:wanted]), tuple(sorted(waiting)))


def _most_groups(candidates: list[Candidate]) -> int:
    """Groups that these people can fill; leaders missing are taken from the annotators to spare."""
    men = sum(person.gender == "M" and not person.leads for person in candidates)
    women = sum(person.gender == "F" and not person.leads for person in candidates)
    leaders = len(candidates) - men - women
    most = min(men // MEN, women // WOMEN, len(LETTERS))
    while most and leaders + (men - MEN * most) + (women - WOMEN * most) < most:
        most -= 1
    return most


@transaction.atomic
def groups_assign(*, dry_run: bool = False, num_groups: int | None = None, by: User | None = None) -> Proposal:
    """Solves for the groups and, unless dry_run, puts everyone there; those left over go to the reserve."""
    proposal = groups_propose(num_groups=num_groups)
    if dry_run:
        return proposal
    people = {person.user.username: person for person in Person.objects.select_related("user", "group")}
    for person in proposal.allocation.reserve:
        person_move(people[person.key], None, reason="reserve", by=by, kind="grouped")
    for letter, staff in zip(proposal.letters, proposal.allocation.groups, strict=True):
        group = Group.objects.get_or_create(letter=letter)[0]
        reason = f"Eq. 1: group mean p {staff.p:.2f}, spread {proposal.allocation.spread:.2f}"
        for member in (*staff.members, staff.leader):
            person_move(people[member.key], group, reason=reason, by=by, kind="grouped")
        _make_leader(people[staff.leader.key], by=by)
    return proposal


def _make_leader(person: Person, *, by: User | None) -> None:
    if person.role == Person.Role.LEADER:
        return
    person.role = Person.Role.LEADER
    person.save(update_fields=["role"])
    role_grant(person)
    StaffChange.objects.create(person=person, kind="role", detail={"to": "leader"}, reason="highest leadership to spare", by=by)


@transaction.atomic
def member_swap(high: Person, low: Person, *, reason: str, by: User | None = None) -> None:
    """Exchanges the groups of two members; untouched turns stay with the group, so each takes over the other's.

    Locks both rows. Raises ValidationError for a swap that Sec. III-C does not allow, Conflict if they are in one group now.
    """
    locked = {p.pk: p for p in Person.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=[high.pk, low.pk]).order_by("pk")}
    high, low = locked[high.pk], locked[low.pk]
    if not reason.strip():
        raise ValidationError(_("Give a reason for the swap."), code="reason_required")
    if high.role != Person.Role.ANNOTATOR or low.role != Person.Role.ANNOTATOR:
        raise ValidationError(_("Only members are swapped, never leaders."), code="not_members")
    if high.gender != low.gender:
        raise ValidationError(_("Only people of one gender are swapped: a group is two men and one woman."), code="gender")
    if high.group is None or low.group is None or high.group_id == low.group_id:
        raise Conflict(_("They are not in two different groups (any more)."), code="same_group")
    first, second = high.group, low.group
    ours, theirs = _untouched(high, low), _untouched(low, high)
    _hand_over(ours, low)
    _hand_over(theirs, high)
    person_move(high, second, reason=reason, by=by, kind="swapped")
    person_move(low, first, reason=reason, by=by, kind="swapped")


def _untouched(person: Person, other: Person) -> list[Assignment]:
    """Open member turns without a draft, on samples that the other has never had a turn at; locked, so that no vote comes in between."""
    turns = Assignment.objects.filter(
        person=person, round=LABEL, rung=Rung.MEMBER, state=Assignment.State.OPEN, draft_saved_at__isnull=True
    )
    met = Assignment.objects.filter(person=other, round=LABEL).values("sample")
    return list(turns.exclude(sample__in=met).select_for_update(no_key=True).order_by("pk"))


def _hand_over(turns: list[Assignment], person: Person) -> None:
    """What the one before had seen of a clip, and how long, does not go with it."""
    for start in range(0, len(turns), AT_ONCE):
        part = [turn.pk for turn in turns[start : start + AT_ONCE]]
        Assignment.objects.filter(pk__in=part).update(person=person, hint={}, active_ms=0, lease_token=None, lease_expires_at=None)
    TimelineEvent.objects.bulk_create(
        TimelineEvent(sample_id=turn.sample_id, kind="reassigned", person=person, detail={"rung": turn.rung}) for turn in turns
    )


@transaction.atomic
def person_override(person: Person, *, letter: str, reason: str, by: User | None = None) -> list[str]:
    """A manager's own choice of group, with a reason; gives what is now unlike Sec. III-B in the groups concerned."""
    if not reason.strip():
        raise ValidationError(_("Give a reason for placing someone by hand."), code="reason_required")
    group = Group.objects.get_or_create(letter=letter)[0] if letter else None
    person_move(person, group, reason=reason, by=by, kind="moved")
    return groups_oddities()


def groups_oddities() -> list[str]:
    """What in the present groups is unlike two men, one woman and a leader."""
    odd = []
    for group in Group.objects.prefetch_related("people"):
        members = [person.gender for person in group.people.all() if person.role == Person.Role.ANNOTATOR]
        leaders = sum(person.role == Person.Role.LEADER for person in group.people.all())
        if (members.count("M"), members.count("F"), leaders) != (MEN, WOMEN, 1):
            odd.append(
                _("group %(group)s: %(men)d men, %(women)d women, %(leaders)d leaders")
                % {"group": group, "men": members.count("M"), "women": members.count("F"), "leaders": leaders}
            )
    return odd
