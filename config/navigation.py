"""The pages a person may open, in the order of the work, for the site's frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from qa.models import MosStudy


@dataclass(frozen=True)
class Page:
    title: Any
    name: str  # URL name
    permission: str
    shown: Callable[[Any], bool] = lambda user: True


def awaits_test(user: Any) -> bool:
    """Whether this annotator gets no clips before the labelling test is passed."""
    person = getattr(user, "person", None)
    return person is not None and person.qualified_at is None


def has_place(user: Any) -> bool:
    """Whether the account is somebody's among the people: an operator's account labels nothing."""
    return getattr(user, "person", None) is not None


def has_studies(user: Any) -> bool:
    """Whether a label quality study was drawn; most teams never draw one."""
    return MosStudy.objects.exists()


def offers_hints(user: Any) -> bool:
    """Whether members may ask what a finished run expects, so that there is something to compare."""
    return settings.PRELABEL_HINT != "off"


PAGES = [
    Page(_("Test"), "annotation:qualify", "annotation.label", shown=awaits_test),
    Page(_("Label"), "annotation:annotate", "annotation.label", shown=has_place),
    Page(_("Group"), "annotation:leader", "annotation.lead_group", shown=has_place),
    Page(_("Expert"), "annotation:expert", "annotation.decide_as_expert", shown=has_place),
    Page(_("Studies"), "qa:mos", "annotation.decide_as_expert", shown=has_studies),
    Page(_("Collect"), "crawler:collect", "crawler.view_collection"),
    Page(_("Review"), "crawler:review", "crawler.review_video"),
    Page(_("People"), "annotation:people", "annotation.manage_people"),
    Page(_("Labels"), "annotation:samples", "annotation.view_timeline"),
    Page(_("Quality"), "qa:quality", "qa.view_quality"),
    Page(_("Hints"), "annotation:hints", "qa.view_quality", shown=offers_hints),
    Page(_("Dataset"), "qa:dataset", "qa.view_dataset"),
    Page(_("Train"), "training:runs", "training.view_runs"),
    Page(_("Status"), "status", "config.view_status"),
]


def pages(request: HttpRequest) -> dict[str, Any]:
    """Template context: `pages`, a list of {title, url, current} that the signed-in person may open."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"pages": []}
    links = []
    for page in PAGES:
        try:
            url = reverse(page.name)
        except NoReverseMatch:
            continue
        if user.has_perm(page.permission) and page.shown(user):
            links.append({"title": page.title, "url": url, "current": request.path.startswith(url)})
    return {"pages": links}
