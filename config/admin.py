"""User accounts in the admin: only a superuser decides who is staff, superuser, or in which role."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from config.models import Backup, Event

POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one door, with the second factor
admin.site.unregister([User, Group])
admin.site.unregister([EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken])  # secrets, and what the environment decides


@admin.register(User)
class GuardedUserAdmin(UserAdmin):
    """Staff who may change users cannot raise themselves or others, nor touch the account of one who stands higher."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = super().get_readonly_fields(request, obj)
        return fixed if _is_superuser(request) else (*fixed, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and not _stands_higher(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not _stands_higher(request, obj)


@admin.register(Group)
class GuardedGroupAdmin(GroupAdmin):
    """Roles are granted by config/roles.py after each migration; here they are shown."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Backup)
class BackupAdmin(GuardedGroupAdmin):
    list_display = ("path", "kind", "rows", "size_bytes", "created_at")
    search_fields = ("path",)
    filter_horizontal = ()
    ordering = ("-created_at",)


@admin.register(Event)
class EventAdmin(GuardedGroupAdmin):
    list_display = ("at", "who", "kind", "what", "about", "address")
    list_filter = ("kind", "what")
    search_fields = ("who", "about")
    filter_horizontal = ()
    ordering = ("-pk",)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _stands_higher(request: HttpRequest, other: Any) -> bool:
    """Whether the other account is staff or superuser and this one is no superuser; one's own is not higher."""
    if other is None or _is_superuser(request) or other.pk == request.user.pk:
        return False
    return bool(other.is_staff or other.is_superuser)
