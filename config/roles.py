"""Who may do what: the one place where a role is given its permissions.

A role is a Django auth group of the same name; a page or a route asks for a permission, never for a role.
"""

from django.contrib.auth.models import Group, Permission
from django.db import transaction

EVERYONE = {"annotation.view_own_work"}
ROLES: dict[str, set[str]] = {
    "annotator": EVERYONE | {"annotation.label"},
    "leader": EVERYONE | {"annotation.lead_group"},
    "expert": EVERYONE | {"annotation.decide_as_expert"},
    "manager": EVERYONE
    | {
        "annotation.manage_people",
        "annotation.manage_webhooks",
        "annotation.view_timeline",
        "qa.view_quality",
        "qa.view_dataset",
        "qa.confirm_swap",
        "crawler.view_collection",
        "config.view_status",
        "config.view_audit",
    },
    "data_engineer": EVERYONE
    | {
        "crawler.view_collection",
        "crawler.run_stage",
        "crawler.review_video",
        "annotation.view_timeline",
        "qa.view_dataset",
        "qa.make_release",
    },
    "researcher": EVERYONE | {"qa.view_quality", "qa.view_dataset", "training.view_runs", "training.start_run"},
}
ROLES["admin"] = set().union(*ROLES.values()) - {"annotation.label", "annotation.lead_group", "annotation.decide_as_expert"}
ROLES["admin"] |= {"training.control_any_run", "config.retry_tasks"}


@transaction.atomic
def roles_grant() -> None:
    """Makes the auth groups hold exactly these permissions; runs after each migration, harmless when repeated.

    Raises LookupError if a permission named here belongs to no model.
    """
    known = {f"{p.content_type.app_label}.{p.codename}": p for p in Permission.objects.select_related("content_type")}
    missing = set().union(*ROLES.values()) - set(known)
    if missing:
        raise LookupError(f"no model declares the permission(s) {', '.join(sorted(missing))}")
    for role, permissions in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.set([known[name] for name in permissions] + (_to_look_at(known) if role == "admin" else []))


def _to_look_at(known: dict[str, Permission]) -> list[Permission]:
    """What Django's admin asks for before it shows a row: view_<model> of every model of ours, and of users and roles."""
    ours = {"crawler", "annotation", "qa", "training", "config", "auth"}
    return [p for p in known.values() if p.content_type.app_label in ours and p.codename == f"view_{p.content_type.model}"]
