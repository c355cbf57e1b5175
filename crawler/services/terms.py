"""The trending-term repository: what a stage learnt about its words, and which words the next stage asks for."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models import Count, Q, Sum

from crawler.models import Stage, Term, Video, Visit
from crawler.platforms import PLATFORMS, TrendingWord
from crawler.rules import keywords

SALIENT = 40  # keywords remembered per platform and stage
State = Video.State


@transaction.atomic
def words_note(stage: Stage, platform: str, words: tuple[TrendingWord, ...]) -> list[Term]:
    """The terms of a trending board, best place first; known ones keep their history and lose their decay."""
    terms = []
    for word in words:
        text = keywords.normal(word.text)
        if not text or text in keywords.STOPWORDS:
            continue
        salience = 1 / word.rank**0.5
        weight, why = keywords.score(salience, keywords.Asked())
        source = {"source": "trending", "rank": word.rank, "heat": word.heat, "stage": stage.name}
        term, made = Term.objects.get_or_create(
            platform=platform, text=text, defaults={"first_stage": stage, "weight": weight, "why": {**why, **source}}
        )
        if not made and not term.blocked:
            term.why = {**term.why, "rank": word.rank, "trending_again": stage.name}
            term.weight = max(term.weight, weight * 0.5)
            term.save(update_fields=["why", "weight"])
        terms.append(term)
    return terms


@transaction.atomic
def terms_learn(stage: Stage) -> int:
    """Sets every term's weight by what the kept videos say and what asking for it gave; returns how many terms are known now."""
    for platform in PLATFORMS:
        kept = Video.objects.filter(platform=platform, state=State.ACCEPTED, stage__isnull=False)
        posts = [keywords.Post(title, tuple(tags)) for title, tags in kept.values_list("title", "hashtags")]
        salience = keywords.salient(posts, top=SALIENT)
        tagged = {keywords.normal(tag) for post in posts for tag in post.hashtags}
        asked = asked_so_far(platform, stage)
        known = {term.text: term for term in Term.objects.filter(platform=platform)}
        blocked = frozenset(text for text, term in known.items() if term.blocked)
        for found in keywords.rank(salience, asked, blocked=blocked):
            term = known.get(found.text) or Term(platform=platform, text=found.text, first_stage=stage)
            source = term.why.get("source") or ("hashtag" if found.text in tagged else "word")
            experience = asked.get(found.text, keywords.Asked())
            term.weight = found.weight
            term.why = {
                **found.why,
                "source": source,
                "asked_found": experience.found,
                "asked_new": experience.new,
                "asked_kept": experience.kept,
                "scored_in": stage.name,
            }
            if "rank" in (known[found.text].why if found.text in known else {}):
                term.why["rank"] = known[found.text].why["rank"]
            term.save()
    return Term.objects.count()


def asked_so_far(platform: str, stage: Stage) -> dict[str, keywords.Asked]:
    """What every term of the platform has given until now; a term nobody asked for has no entry unless it was on a board."""
    visits = Visit.objects.filter(platform=platform, term__isnull=False, state=Visit.State.DONE)
    sums = {
        row["term"]: row
        for row in visits.values("term").annotate(found_=Sum("found"), new_=Sum("new"), last=Count("stage", filter=Q(stage=stage)))
    }
    kept = dict(
        Video.objects.filter(platform=platform, state=State.ACCEPTED, term__isnull=False).values_list("term").annotate(count=Count("pk"))
    )
    stages: dict[int, set[int]] = defaultdict(set)
    for term_id, stage_id in visits.values_list("term_id", "stage_id"):
        stages[term_id].add(stage_id)
    order = list(Stage.objects.filter(started_at__isnull=False).order_by("started_at").values_list("pk", flat=True))
    asked = {}
    for term in Term.objects.filter(platform=platform):
        row = sums.get(term.pk)
        latest = max((order.index(pk) for pk in stages[term.pk] if pk in order), default=None)
        here = order.index(stage.pk) if stage.pk in order else len(order)
        first = order.index(term.first_stage_id) if term.first_stage_id in order else here
        ago = max(0, here - (latest if latest is not None else first))
        asked[term.text] = keywords.Asked(row["found_"] if row else 0, row["new_"] if row else 0, kept.get(term.pk, 0), ago)
    return asked


def terms_chosen(stage: Stage, platform: str, count: int, *, steer: bool) -> list[Term]:
    """The terms to ask for next on this platform, heaviest first; without steering, those first seen on a board, in that order."""
    waiting = Term.objects.filter(platform=platform, blocked=False)
    if not steer:
        return [term for term in waiting.order_by("pk") if term.why.get("source") in ("trending", "given")][:count]
    return list(waiting.order_by("-weight", "pk")[:count])
