"""Who labels, what they are given, and what they said (Sec. III-B, III-D)."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

LABEL = "label"  # the round in which a sample gets its label; cross-checks and repeats are other rounds


class Emotion(models.TextChoices):
    """The six categories, class ids 0–5 in this order."""

    EXCITATION = "Excitation", _("Excitation")
    FEAR = "Fear", _("Fear")
    NEUTRAL = "Neutral", _("Neutral")
    RELAXATION = "Relaxation", _("Relaxation")
    SADNESS = "Sadness", _("Sadness")
    TENSION = "Tension", _("Tension")


class Rung(models.TextChoices):
    """The steps of the ladder that decides a label."""

    MEMBER = "member", _("Member")
    LEADER = "leader", _("Leader")
    EXCHANGE = "exchange", _("Exchange")
    EXPERT = "expert", _("Expert")


class Group(models.Model):
    """An annotation group: two men, one woman and a leader (Sec. III-B)."""

    letter = models.CharField(max_length=2, unique=True)

    class Meta:
        ordering = ["letter"]

    def __str__(self) -> str:
        return self.letter


class Person(models.Model):
    """One who works on labels, with the scored factors of Eq. 1 (each 0–100)."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator", _("Annotator")
        LEADER = "leader", _("Leader")
        EXPERT = "expert", _("Expert")
        MANAGER = "manager", _("Manager")
        DATA_ENGINEER = "data_engineer", _("Data Engineer")
        RESEARCHER = "researcher", _("Researcher")
        ADMIN = "admin", _("Admin")

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="person")
    full_name = models.CharField(max_length=150)
    gender = models.CharField(max_length=1, choices=[("M", "M"), ("F", "F")])
    language = models.CharField(max_length=20, default="en")
    role = models.CharField(max_length=15, choices=Role.choices, default=Role.ANNOTATOR)
    work_experience = models.FloatField(default=0)
    msceit = models.FloatField(default=0)
    education = models.FloatField(default=0)
    culture = models.FloatField(default=0)
    leadership = models.FloatField(default=0)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, null=True, blank=True, related_name="people")
    is_simulated = models.BooleanField(default=False, help_text="a program, not a person; shown wherever the name is")
    qualified_at = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=200, blank=True, help_text="not empty: gets no work")
    opted_out = models.JSONField(default=list, help_text="emotions or content flags that this person does not want to see")
    preferences = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "people"
        permissions = [
            ("view_own_work", "Can see the own history and pace"),
            ("label", "Can label as a member"),
            ("lead_group", "Can vote as a leader and distribute batches"),
            ("decide_as_expert", "Can finalise labels as the expert"),
            ("manage_people", "Can import, group, pause and swap people"),
            ("view_timeline", "Can see any sample's timeline"),
        ]

    def __str__(self) -> str:
        return f"{self.full_name} (simulated)" if self.is_simulated else self.full_name


class Membership(models.Model):
    """When a person belonged to a group, and why that began; history is kept."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships")
    reason = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person"], condition=Q(ended_at__isnull=True), name="one_group_at_a_time")]


class StaffChange(models.Model):
    """One change of who works where, with its reason; append-only."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="staff_changes")
    kind = models.CharField(max_length=20, help_text="grouped, moved, swapped, paused, resumed, role, qualified, reassigned, invited")
    detail = models.JSONField(default=dict)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]


class Batch(models.Model):
    """Samples handed to a group in one go, by its leader or by the clock, until the leader has collected them (Sec. III-D)."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="batches")
    opened_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="empty: the clock")
    with_hints = models.BooleanField(default=False, help_text="its members may ask what a finished run expects")
    created_at = models.DateTimeField(auto_now_add=True)
    collected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-pk"]


class Sample(models.Model):
    """A video to be labelled by one group; `rung` says whose vote it waits for."""

    class State(models.TextChoices):
        OPEN = "open"
        DECIDED = "decided"
        EXCLUDED = "excluded"  # flagged out: broken, unsafe, ambiguous

    video = models.OneToOneField("crawler.Video", on_delete=models.PROTECT, related_name="sample")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="samples")
    batch = models.ForeignKey(Batch, on_delete=models.SET_NULL, null=True, blank=True, related_name="samples")
    content_warning = models.JSONField(default=list, help_text="why the cleaning review hesitated; shown before the clip")
    reopened = models.PositiveSmallIntegerField(default=0, help_text="how often a label was opened again")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    rung = models.CharField(max_length=10, choices=Rung.choices, default=Rung.MEMBER)
    label = models.CharField(max_length=12, choices=Emotion.choices, blank=True)
    decided_rung = models.CharField(max_length=10, choices=Rung.choices, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="decided") | (~Q(label="") & ~Q(decided_rung="")), name="decided_samples_have_a_label"
            ),
            models.CheckConstraint(condition=Q(state="decided") | Q(label=""), name="only_decided_samples_have_a_label"),
        ]
        indexes = [models.Index(fields=["state", "rung", "group"])]


class Assignment(models.Model):
    """One person's turn at one sample in one round. OPEN waits, LEASED is on someone's screen."""

    class State(models.TextChoices):
        OPEN = "open"
        LEASED = "leased"
        SUBMITTED = "submitted"
        SKIPPED = "skipped"
        WITHDRAWN = "withdrawn"  # no longer needed, or given to someone else; the draft is kept

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="assignments")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="assignments")
    rung = models.CharField(max_length=10, choices=Rung.choices, default=Rung.MEMBER)
    seat = models.PositiveSmallIntegerField(default=0, help_text="0–2 among the members; 0 above them")
    round = models.CharField(max_length=20, default=LABEL, help_text="label, sA, sB, sA.1 … (re-annotation), repeat")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    order = models.PositiveIntegerField(default=0, help_text="place in the person's queue")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True, help_text="the browser tab that holds the lease")
    expiries = models.PositiveSmallIntegerField(default=0, help_text="how often it was taken back from a tab that showed no life")
    draft = models.JSONField(default=dict)
    draft_saved_at = models.DateTimeField(null=True, blank=True)
    skip_reason = models.CharField(max_length=200, blank=True)
    hint = models.JSONField(default=dict, help_text="what a finished run expects, as the person asked to see it, and when")
    active_ms = models.PositiveIntegerField(default=0, help_text="time with the clip in front, idle time left out")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sample", "person", "round"], name="one_turn_per_person_and_round"),
            # Whatever races, a rung of the ladder never has two people and the members are never more than three.
            models.UniqueConstraint(
                fields=["sample", "rung", "seat"],
                condition=Q(round=LABEL, state__in=["open", "leased", "submitted"]),
                name="one_person_per_seat",
            ),
            models.CheckConstraint(condition=Q(seat=0) | Q(rung="member", seat__lte=2) | ~Q(round=LABEL), name="three_member_seats"),
        ]
        indexes = [
            models.Index(fields=["person", "order", "id"], condition=Q(state__in=["open", "leased"]), name="turn_queue"),
            models.Index(fields=["person", "round", "state"], name="turns_by_person"),
            models.Index(fields=["lease_expires_at"], condition=Q(state="leased"), name="leases"),
            models.Index(fields=["expiries"], condition=Q(expiries__gt=0), name="turns_that_expired"),
        ]


class Vote(models.Model):
    """What one person felt about one sample: the adjective as chosen and the emotion it stood for in that table."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="votes")
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="votes")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="votes")
    rung = models.CharField(max_length=10, choices=Rung.choices)
    round = models.CharField(max_length=20, default=LABEL)
    adjective = models.CharField(
        max_length=30, blank=True, help_text="key in the adjective table; empty for imported votes that had only an emotion"
    )
    adjective_table = models.PositiveSmallIntegerField(default=1)
    emotion = models.CharField(max_length=12, choices=Emotion.choices)
    confidence = models.FloatField(null=True)
    prelabel = models.JSONField(
        default=dict, blank=True, help_text="run, emotion and uncertainty that ordered the queue; hint: seen, unseen or held back"
    )
    client_id = models.UUIDField(unique=True, help_text="made by the browser: the same submission sent twice is one vote")
    created_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sample", "person", "round"], condition=Q(undone_at__isnull=True), name="one_vote_per_person_and_round"
            ),
            models.CheckConstraint(
                condition=Q(confidence__isnull=True) | Q(confidence__gte=0, confidence__lte=1), name="confidence_between_0_and_1"
            ),
        ]
        indexes = [
            models.Index(fields=["round", "rung"]),
            models.Index(fields=["person", "created_at", "id"], include=["undone_at"], name="votes_by_person"),
        ]


class Prelabel(models.Model):
    """What a trained network expects of a sample before people have decided it; it may order their queues, and be their hint."""

    sample = models.OneToOneField(Sample, on_delete=models.CASCADE, related_name="prelabel")
    run_name = models.CharField(max_length=80)
    probabilities = models.JSONField(help_text="emotion → probability")
    uncertainty = models.FloatField(help_text="entropy of the probabilities as a share of the greatest possible")
    created_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(uncertainty__gte=0, uncertainty__lte=1), name="uncertainty_between_0_and_1"),
        ]

    @property
    def emotion(self) -> str:
        return max(Emotion.values, key=self.probabilities.__getitem__)  # not by the stored keys: PostgreSQL puts those in its own order


class TimelineEvent(models.Model):
    """One step of a sample's life, in the order it happened; append-only."""

    KINDS = (
        *("distributed", "voted", "undone", "asked", "waiting", "decided", "skipped", "reassigned"),
        *("flagged", "excluded", "restored", "settled", "reopened"),
    )

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="timeline")
    kind = models.CharField(max_length=30)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="timeline_by_time"),
            models.Index(fields=["kind", "created_at", "id"], name="timeline_by_kind"),
        ]


class Flag(models.Model):
    """One person's doubt about a clip; two members' doubts take it out of labelling."""

    class Kind(models.TextChoices):
        BROKEN = "broken"
        UNSAFE = "unsafe"
        CHANGES_FEELING = "changes_feeling"
        AMBIGUOUS = "ambiguous"

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="flags")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="flags")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sample", "person"], name="one_flag_per_person")]


def emotions_listed(value: object) -> None:
    """Raises ValidationError unless the value is a list of one or more of the six emotions."""
    if not isinstance(value, list) or not value or not set(value) <= set(Emotion.values):
        raise ValidationError(f"Give a list of {', '.join(Emotion.values)}, the best first.")


class GoldItem(models.Model):
    """A clip whose emotion is known beyond doubt: for the qualification test, and hidden among the work later."""

    video = models.OneToOneField("crawler.Video", on_delete=models.PROTECT, related_name="gold")
    emotions = models.JSONField(validators=[emotions_listed], help_text="emotions that count as right, the best first")
    source = models.CharField(max_length=200, help_text="who vouches for it")
    in_test = models.BooleanField(default=True)
    hidden = models.BooleanField(default=True, help_text="may be mixed into the work")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"video {self.video_id}"


class QualificationAttempt(models.Model):
    """One try at one part of the labelling test (Sec. III-B)."""

    class Part(models.TextChoices):
        SENTIMENT = "sentiment", "Sentiment quotient"
        QUALITY = "quality", "Annotation quality"

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="attempts")
    part = models.CharField(max_length=10, choices=Part.choices)
    number = models.PositiveSmallIntegerField(help_text="first, second …")
    items = models.JSONField(default=list, help_text="keys of the items, in the order shown")
    answers = models.JSONField(default=list)
    score = models.FloatField(null=True, blank=True)
    hints = models.JSONField(default=list)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "part", "number"], name="attempts_are_numbered"),
            models.UniqueConstraint(fields=["person", "part"], condition=Q(finished_at__isnull=True), name="one_open_attempt_per_part"),
            models.CheckConstraint(condition=Q(score__isnull=True) | Q(score__gte=0, score__lte=100), name="score_between_0_and_100"),
        ]


class TrainingSession(models.Model):
    """A training session after the test: the workflow, the guide, the cultures (Sec. III-B)."""

    title = models.CharField(max_length=150)
    guide_version = models.CharField(max_length=20, help_text="of the annotation guide that was taught")
    held_at = models.DateTimeField()
    held_by = models.CharField(max_length=150)
    attended = models.ManyToManyField(Person, through="Attendance", related_name="sessions")

    class Meta:
        ordering = ["-held_at"]

    def __str__(self) -> str:
        return f"{self.title} ({self.guide_version})"


class Attendance(models.Model):
    session = models.ForeignKey(TrainingSession, on_delete=models.CASCADE, related_name="attendances")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="attendances")
    minutes = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "person"], name="one_attendance_per_session")]


class Webhook(models.Model):
    """Another system that is told of events here, each message signed with a secret that only it and the site know."""

    url = models.URLField(max_length=500, unique=True)
    sealed_secret = models.CharField(max_length=300, help_text="encrypted with the site's SECRET_KEY; shown once, when it was made")
    events = models.JSONField(default=list, help_text="names of the events that it is told of")
    active = models.BooleanField(default=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["url"]
        permissions = [("manage_webhooks", "Can say which systems are told of events")]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """The outbox: one message for one receiver, written together with what it tells of, and sent until it is answered with 2xx."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        GIVEN_UP = "given_up", _("given up")

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=30)
    event_id = models.UUIDField(help_text="the same at every attempt: a receiver that knows it already does nothing")
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(help_text="not before; while a worker sends it, when that worker counts as dead")
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last answer")
    problem = models.CharField(max_length=250, blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["webhook", "event_id"], name="one_delivery_per_event_and_receiver")]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="outbox"),
            models.Index(fields=["created_at"], name="delivery_age"),
        ]
