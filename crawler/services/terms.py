"""The trending-term repository: what a stage learnt about its words, and which words the next stage asks for."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models import Count, F

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
        source = {"source": "trending", "rank": word.rank, "heat": word.heat, "stage": stage.name, "seen": stage.pk}
        term, made = Term.objects.get_or_create(
            platform=platform, text=text, defaults={"first_stage": stage, "weight": weight, "why": {**why, **source}}
        )
        if not made and not term.blocked:
            term.why = {**term.why, "rank": word.rank, "trending_again": stage.name, "seen": stage.pk}
            # Back on the board, but what its list held is known: only what is new there counts.
            term.weight = max(term.weight, weight * 0.5 * term.why.get("novelty", 1.0))
            term.save(update_fields=["why", "weight"])
        terms.append(term)
    return terms


@transaction.atomic
def terms_learn(stage: Stage) -> int:
    """Sets every term's weight by what the kept videos say and what asking for it gave; returns how many terms are known now."""
    for platform in PLATFORMS:
        kept = Video.objects.filter(platform=platform, state=State.ACCEPTED, stage__isnull=False)
        posts = [keywords.Post(title, tuple(tags)) for title, tags in kept.values_list("title", "hashtags")]
        here = [keywords.Post(title, tuple(tags)) for title, tags in kept.filter(stage=stage).values_list("title", "hashtags")]
        seen = {text for post in here for text in keywords.terms_of(post)}
        salience = keywords.salient(posts, top=SALIENT)
        tagged = {keywords.normal(tag) for post in posts for tag in post.hashtags}
        asked = asked_so_far(platform, stage, seen)
        known = {term.text: term for term in Term.objects.filter(platform=platform)}
        blocked = frozenset(text for text, term in known.items() if term.blocked)
        for found in keywords.rank(salience, asked, blocked=blocked):
            term = known.get(found.text) or Term(platform=platform, text=found.text, first_stage=stage)
            before = term.why
            source = before.get("source") or ("hashtag" if found.text in tagged else "word")
            experience = asked.get(found.text, keywords.Asked())
            term.weight = found.weight
            term.why = {
                **found.why,
                "source": source,
                "asked_found": experience.found,
                "asked_new": experience.new,
                "asked_kept": experience.kept,
                "scored_in": stage.name,
                **{name: before[name] for name in ("rank", "seen") if name in before},
            }
            if found.text in seen:
                term.why["seen"] = stage.pk
            term.save()
    return Term.objects.count()


def asked_so_far(platform: str, stage: Stage, seen: set[str]) -> dict[str, keywords.Asked]:
    """What every term of the platform has given until now. seen: the words of the posts that this stage kept."""
    lists: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    visits = Visit.objects.filter(platform=platform, term__isnull=False, state=Visit.State.DONE).order_by("pk")
    for term_id, stage_id, found, new in visits.values_list("term_id", "stage_id", "found", "new"):
        lists[term_id].append((stage_id, found, new))
    kept = dict(
        Video.objects.filter(platform=platform, state=State.ACCEPTED, term__isnull=False).values_list("term").annotate(count=Count("pk"))
    )
    order = list(Stage.objects.filter(started_at__isnull=False).order_by("started_at").values_list("pk", flat=True))
    return {
        term.text: experience(
            lists[term.pk],
            kept.get(term.pk, 0),
            stages_ago=ago(order, stage.pk, *(stage_id for stage_id, _, _ in lists[term.pk])),
            unseen=0 if term.text in seen else ago(order, stage.pk, term.why.get("seen", term.first_stage_id)),
        )
        for term in Term.objects.filter(platform=platform)
    }


def experience(lists: list[tuple[int, int, int]], kept: int, *, stages_ago: int, unseen: int) -> keywords.Asked:
    """lists: (stage, found, new) of each time the term was asked for, the first first."""
    found, new = sum(row[1] for row in lists), sum(row[2] for row in lists)
    again_found, again_new = sum(row[1] for row in lists[1:]), sum(row[2] for row in lists[1:])
    return keywords.Asked(len(lists), found, new, kept, again_found, again_new, stages_ago, unseen)


def ago(order: list[int], here: int, *stages: int) -> int:
    """How many stages lie between the latest of these and this one; 0 when none of them has begun."""
    places = [order.index(pk) for pk in stages if pk in order]
    return max(0, order.index(here) - max(places)) if places and here in order else 0


def terms_chosen(stage: Stage, platform: str, count: int, *, steer: bool) -> list[Term]:
    """The terms to ask for next on this platform, heaviest first; without steering, those first seen on a board, in that order."""
    waiting = Term.objects.filter(platform=platform, blocked=False)
    if not steer:
        return [term for term in waiting.order_by("pk") if term.why.get("source") in ("trending", "given")][:count]
    return list(waiting.order_by("-weight", "pk")[:count])


def term_block(term_id: int, blocked: bool = True) -> Term:
    """The term, put on or taken off the block-list."""
    Term.objects.filter(pk=term_id).update(blocked=blocked, weight=0.0 if blocked else F("weight"))
    return Term.objects.get(pk=term_id)
