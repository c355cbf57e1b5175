"""A stage of the crawl: trending boards give words, words give lists, lists give posts, posts go their way (videos.py).

Every list is a Visit row and every post a Video row, so a stage that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from time import sleep as rest
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import F, Q
from django.utils import timezone

from crawler import fetch
from crawler.fetch import Browser, FetchError, Interrupted, Refused, Unreachable
from crawler.models import Stage, Term, Video, Visit
from crawler.platforms import PLATFORMS, Outcome, PostRef
from crawler.rules import keywords
from crawler.services import outages, terms
from crawler.services.claims import MAX_DEATHS, RENEW_S, claimed, renew
from crawler.services.manners import budget_of, client_of, link_of, platforms_of, settings_checked, settings_of
from crawler.services.videos import STEPS, posts_insert, video_advance
from crawler.storage import Away

log = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]  # what is being done, how much of it is done, how much there is
MAX_VISIT_ATTEMPTS = 3
PASSES = 6  # over videos whose next try was put off
REST_BACKOFFS = 5  # a failed list or round of videos rests so many times the stage's backoff, then twice as long …
LONGEST_REST_S = 60.0
LINK = "link"  # a visit to a short link, which leads to a post or a list
PAUSING = {Outcome.CAPTCHA, Outcome.LOGIN}


class StageBusy(ValidationError):
    """Another worker crawls this stage now."""


def stage_create(*, name: str, platforms: Iterable[str] = (), seed: int = 0, video_budget: int = 1000, **settings: Any) -> Stage:
    """The stage of this name, made when there is none. Raises ValidationError for unknown platforms or settings.

    starts_at and ends_at are dates of the stage; every other setting is one of manners.StageSettings.
    """
    unknown = sorted(set(platforms) - set(PLATFORMS))
    if unknown:
        raise ValidationError(f"unknown platform {', '.join(unknown)}; known are {', '.join(PLATFORMS)}")
    dates: dict[str, Any] = {key: settings.pop(key) for key in ("starts_at", "ends_at") if key in settings}
    stage = Stage(name=name, platforms=list(platforms), seed=seed, video_budget=video_budget, settings=settings_checked(settings), **dates)
    stage.clean_fields(exclude=["platforms", "settings"])
    found, _ = Stage.objects.get_or_create(
        name=name,
        defaults={"platforms": stage.platforms, "seed": seed, "video_budget": video_budget, "settings": stage.settings, **dates},
    )
    return found


def stage_stop(stage_id: int) -> Stage:
    """Asks whoever crawls the stage to stop after the step at hand."""
    Stage.objects.filter(pk=stage_id, state__in=[Stage.State.RUNNING, Stage.State.PLANNED]).update(state=Stage.State.STOPPED)
    return Stage.objects.get(pk=stage_id)


def stages_due() -> list[int]:
    """Ids of the stages whose time, or next try, has come and which are not done; those whose end has passed are closed."""
    now = timezone.now()
    Stage.objects.filter(state__in=[Stage.State.PLANNED, Stage.State.RUNNING], ends_at__lt=now).update(
        state=Stage.State.DONE, finished_at=now
    )
    begun = Q(state=Stage.State.RUNNING) | Q(state=Stage.State.PLANNED, starts_at__lte=now) | Q(state=Stage.State.FAILED, retry_at__lte=now)
    return list(Stage.objects.filter(begun).order_by("pk").values_list("pk", flat=True))


def stage_crawl(
    stage_id: int,
    *,
    progress: Progress | None = None,
    dispatch: Callable[[int], Any] | None = None,
    workers: int = 0,
    unless_done: bool = False,
) -> dict[str, int]:
    """Crawls the stage to its end, or to its stop; videos by what became of them, and lists under "list: …".

    dispatch: hands a video's id to a task queue as soon as it is found; what the queue leaves is done here in the end.
    workers: threads that work on videos beside the browser; 0 does all in turn. unless_done: for a message, that may come twice or late;
    a stage that is put off is left until its time. Without it, what an earlier run could not reach is asked again. A stage of which
    a platform was out of reach ends failed (outages.py); a done one that lost nothing is left. Raises StageBusy when another worker
    is at it.
    """
    stage = Stage.objects.get(pk=stage_id)
    with claimed(stage) as mine:
        if not mine:
            raise StageBusy(f"stage {stage.name} is being crawled by another worker; stop it there or wait")
        stage.refresh_from_db()
        if unless_done and outages.is_put_off(stage):
            return stage_counts(stage)
        if stage.state == Stage.State.FAILED or not unless_done:
            outages.stage_reopen(stage.pk, by_hand=not unless_done)
            stage.refresh_from_db()
        if stage.state == Stage.State.DONE:
            return stage_counts(stage)
        stage.state, stage.started_at, stage.finished_at = Stage.State.RUNNING, stage.started_at or timezone.now(), None
        stage.save(update_fields=["state", "started_at", "finished_at"])
        _Round(stage, progress or _silent, dispatch, workers).run()
        terms.terms_learn(stage)
        outages.stage_settle(stage.pk, is_empty=not _unsettled(stage).exists())
    return stage_counts(stage)


def stage_counts(stage: Stage) -> dict[str, int]:
    counts = Counter(
        f"{state}: {reason.split(':')[0]}" if reason and state in (Video.State.DROPPED, Video.State.FAILED) else state
        for state, reason in Video.objects.filter(stage=stage).values_list("state", "reason")
    )
    lists = Counter(f"list: {outcome or state}" for state, outcome in Visit.objects.filter(stage=stage).values_list("state", "outcome"))
    return {"found": sum(counts.values()), **dict(sorted(counts.items())), **dict(sorted(lists.items()))}


def _silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def _unsettled(stage: Stage) -> Any:
    return Video.objects.filter(stage=stage, state__in=list(STEPS))


class _Round:
    """One run through a stage: the browsers and worker threads that live as long as it."""

    def __init__(self, stage: Stage, progress: Progress, dispatch: Callable[[int], Any] | None, workers: int) -> None:
        self.stage, self.progress, self.dispatch = stage, progress, dispatch
        self.told = settings_of(stage)
        self.browsers: dict[str, Browser] = {}
        self.stack = ExitStack()
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="video") if workers and not dispatch else None
        self.futures: list[Future[None]] = []

    def run(self) -> None:
        try:
            with self.stack:
                self._read_lists()
            self._await_threads()
        finally:
            if self.pool:  # whoever interrupts a stage does not wait for all that stands in line
                self.pool.shutdown(cancel_futures=True)
        self._finish_videos()

    def _read_lists(self) -> None:
        self._start_waiting()
        self._plan_first()
        while visit := self._next_visit():
            if visit.attempts:  # only failed ones are left: what they failed for may take a while
                self._rest(visit.attempts)
            self._visit(visit)
            if not self._planned(visit.platform) and not self._waiting(visit.platform).exists():
                self._plan_terms(visit.platform)

    def _await_threads(self) -> None:
        """The claim on the stage is renewed meanwhile: downloads outlast its lease."""
        left = set(self.futures)
        while left:
            done, left = wait(left, timeout=RENEW_S)
            for future in done:
                future.result()
            renew(self.stage)

    # --- which lists ---

    def _plan_first(self) -> None:
        """The stage's own lists: boards, target users, given terms."""
        for platform in platforms_of(self.stage):
            if self.told.trending:
                self._plan(platform, "trending", "")
            for user in self.told.users.get(platform, []):
                self._plan(platform, "user", user)
            for text in self.told.terms.get(platform, []):
                term, _ = Term.objects.get_or_create(
                    platform=platform,
                    text=keywords.normal(text),
                    defaults={"first_stage": self.stage, "why": {"source": "given", "stage": self.stage.name}},
                )
                self._plan(platform, "search", text, term)
        for platform, url in map(link_of, self.told.links):
            if platform in platforms_of(self.stage):
                self._plan_link(platform, url)
        for platform in platforms_of(self.stage):
            if not self._waiting(platform).exists() and not self._planned(platform):
                self._plan_terms(platform)

    def _plan_link(self, platform: str, url: str) -> None:
        """Plans what the address names; a short one has to be followed first."""
        kind, subject = PLATFORMS[platform].page_named(url)
        if kind == "video":
            ref = PLATFORMS[platform].ref(subject, "")
            self._store_posts(platform, [ref], None)
        elif kind:
            self._plan(platform, kind, subject)
        else:
            self._plan(platform, LINK, url)

    def _planned(self, platform: str) -> bool:
        """Whether the words of this stage have been chosen on this platform; those it was given do not stand for them."""
        given = [keywords.normal(text) for text in self.told.terms.get(platform, [])]
        asked = Visit.objects.filter(stage=self.stage, platform=platform, term__isnull=False)
        return asked.exclude(term__text__in=given).exists()

    @transaction.atomic
    def _plan_terms(self, platform: str) -> None:
        """All of the words or none: one that is planned stands for all that they have been chosen."""
        for term in terms.terms_chosen(self.stage, platform, self.told.terms_per_platform, steer=self.told.steer):
            self._plan(platform, self._kind(platform, term), term.text, term)

    @staticmethod
    def _kind(platform: str, term: Term) -> str:
        """A word that is a hashtag is looked up on its tag page where the platform has such pages."""
        is_tag = term.why.get("source") in ("hashtag", "trending") and " " not in term.text
        return PLATFORMS[platform].facts["hashtag_kind"] if is_tag else "search"

    def _plan(self, platform: str, kind: str, subject: str, term: Term | None = None) -> None:
        place = Visit.objects.filter(stage=self.stage, platform=platform).count()
        Visit.objects.get_or_create(
            stage=self.stage, platform=platform, kind=kind, subject=subject[:200], defaults={"term": term, "place": place}
        )

    def _waiting(self, platform: str) -> Any:
        return Visit.objects.filter(stage=self.stage, platform=platform, state=Visit.State.WAITING)

    def _next_visit(self) -> Visit | None:
        """The waiting list with the lowest place, platforms in turn; None when the stage was stopped or all is read."""
        if not self._goes_on():
            return None
        for visit in (
            Visit.objects.filter(stage=self.stage, state=Visit.State.WAITING)
            .select_related("term")
            .order_by(F("attempts") + F("deaths"), "place", "platform")
        ):
            if self._left(visit.platform) > 0:
                return visit
        return None

    def _goes_on(self) -> bool:
        """Whether the stage was not stopped, is not over by its date, and was not taken over; its claim is renewed, since it outlasts the lease."""
        over = Q(ends_at__lt=timezone.now())
        return Stage.objects.filter(pk=self.stage.pk, state=Stage.State.RUNNING).exclude(over).exists() and renew(self.stage)

    def _left(self, platform: str) -> int:
        return self.stage.video_budget - Video.objects.filter(stage=self.stage, platform=platform).count()

    # --- one list ---

    def _visit(self, visit: Visit) -> None:
        """Reads one list and stores its posts and words; a wall ends it under its own name, an unreachable one is put off."""
        done = Visit.objects.filter(stage=self.stage).exclude(state=Visit.State.WAITING).count()
        self.progress(f"{visit}", done, Visit.objects.filter(stage=self.stage).count())
        if visit.deaths >= MAX_DEATHS:
            self._close(visit, Visit.State.FAILED, "worker-killed", f"{visit.deaths} workers died while they read it")
            return
        visit.attempts += 1
        try:
            with self._at_risk(visit):
                seen = self._seen(visit)
        except Unreachable as error:
            if isinstance(error, Interrupted):
                self._store(visit, error.seen)
            self._put_off(visit, error.cause, str(error))
            return
        except FetchError as error:
            self._close(visit, Visit.State.FAILED, error.cause, str(error))
            return
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # a page that our own code stumbles over must not cost the stage its other lists
            log.exception("list %s", visit)
            self._put_off(visit, "error", f"{type(error).__name__}: {error}")
            return
        visit.steps, visit.rule_version = seen.steps, seen.rule_version[:60]
        self._store(visit, seen)
        if seen.failure is None:
            self._close(visit, Visit.State.DONE, "", "")
        elif seen.failure.outcome is Outcome.BLOCKED and not seen.posts:
            self._put_off(visit, seen.failure.outcome, seen.failure.detail)
        else:
            if seen.failure.outcome in PAUSING:
                self._pause(
                    PLATFORMS[visit.platform].address(visit.kind, visit.subject),
                    f"{seen.failure.outcome}: {seen.failure.detail} at {visit}",
                )
            self._close(visit, Visit.State.FAILED, seen.failure.outcome, seen.failure.detail)

    def _seen(self, visit: Visit) -> fetch.Seen:
        """What the list shows; where the visit is a short link, what that leads to is planned."""
        if visit.kind != LINK:
            url = PLATFORMS[visit.platform].address(visit.kind, visit.subject)
            return self._browser(visit.platform).collect(url, visit.kind, budget_of(self.stage, self._left(visit.platform)))
        with client_of(self.stage, visit.platform).open(visit.subject) as response:
            target = response.url
        if not PLATFORMS[visit.platform].page_named(target)[0]:
            raise Refused(f"it leads to {target}, which is no page that we read", cause="rule-failed")
        self._plan_link(visit.platform, target)
        return fetch.Seen()

    @staticmethod
    @contextmanager
    def _at_risk(visit: Visit) -> Iterator[None]:
        """Counts a death of the worker before it happens, and takes that back when it has not."""
        Visit.objects.filter(pk=visit.pk).update(deaths=visit.deaths + 1)
        try:
            yield
        finally:
            Visit.objects.filter(pk=visit.pk).update(deaths=visit.deaths)

    def _put_off(self, visit: Visit, outcome: str, detail: str) -> None:
        """The list waits for another try; the last one ends it under its cause."""
        last = visit.attempts >= MAX_VISIT_ATTEMPTS
        self._close(visit, Visit.State.FAILED if last else Visit.State.WAITING, outcome, detail)

    def _browser(self, platform: str) -> Browser:
        if platform not in self.browsers:
            self.browsers[platform] = self.stack.enter_context(Browser(client_of(self.stage, platform)))
        return self.browsers[platform]

    def _pause(self, url: str, reason: str) -> None:
        fetch.pause(urlsplit(url).hostname or "", reason, self.told.pause_hours)

    def _store(self, visit: Visit, seen: fetch.Seen) -> None:
        """The list's posts and words, in one transaction with the visit's counts."""
        posts = list(seen.posts.values())
        with transaction.atomic():
            found, new = self._store_posts(visit.platform, posts, visit.term_id)
            visit.found, visit.new = max(visit.found, found), visit.new + new
            visit.save()
            if visit.kind == "trending":
                terms.words_note(self.stage, visit.platform, tuple(seen.words.values()))

    def _store_posts(self, platform: str, posts: list[PostRef], term_id: int | None) -> tuple[int, int]:
        """(how many of them the budget has room for, how many of these are new); the new ones are begun."""
        within = posts[: max(0, self._left(platform))]
        rows = [
            {
                "platform": platform,
                "platform_id": post.platform_id,
                "url": post.url,
                "title": post.title,
                "stage_id": self.stage.pk,
                "term_id": term_id,
            }
            for post in within
        ]
        new = posts_insert(rows)
        for video_id in new:
            transaction.on_commit(partial(self._start, video_id))
        return len(within), len(new)

    @staticmethod
    def _close(visit: Visit, state: str, outcome: str, detail: str) -> None:
        visit.state, visit.outcome, visit.detail = state, str(outcome)[:40], detail[:300]
        visit.save()

    # --- the videos ---

    def _start_waiting(self) -> None:
        """Videos that an earlier, killed run of this stage found."""
        for video_id in _unsettled(self.stage).order_by("pk").values_list("pk", flat=True):
            self._start(video_id)

    def _start(self, video_id: int) -> None:
        if self.dispatch:
            self.dispatch(video_id)
        elif self.pool:
            self.futures.append(self.pool.submit(self._in_thread, video_id))

    @staticmethod
    def _in_thread(video_id: int) -> None:
        try:
            video_advance(video_id)
        except (Unreachable, Away):  # _finish_videos comes back to it
            pass
        finally:
            connections.close_all()

    def _rest(self, times: int) -> None:
        rest(min(LONGEST_REST_S, REST_BACKOFFS * self.told.backoff_s * 2 ** (times - 1)))

    def _finish_videos(self) -> None:
        """Takes every video of the stage to its end; those whose try failed come again, a few times, at longer and longer intervals."""
        for number in range(PASSES):
            ids = list(_unsettled(self.stage).order_by("attempts", "pk").values_list("pk", flat=True))
            if not ids:
                return
            if number:
                self._rest(number)
            for place, video_id in enumerate(ids, start=1):
                if not self._goes_on():
                    return
                self.progress("videos", place, len(ids))
                try:
                    video_advance(video_id)
                except (Unreachable, Away):  # the next pass comes back to it
                    continue
