"""Every route of the site: each app brings its own pages and its own part of /api/v1/."""

from allauth.account import views as allauth_account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from django.views.decorators.http import require_http_methods, require_safe
from drf_spectacular.views import SpectacularAPIView

from config import account, api, single_sign_on, views
from config.second_factor import in_place
from config.signin import FirstPasswordView, SignInView
from qa.views import home

handler400, handler403, handler404, handler500 = api.bad_request, api.forbidden, api.not_found, api.server_error
form_page = require_http_methods(["GET", "HEAD", "POST"])
sign_in = in_place(SignInView.as_view(redirect_authenticated_user=True))
urlpatterns = [
    path("", home, name="home"),
    # Names with account_, mfa_ and openid_connect_ are those by which allauth finds its own views; only these are opened.
    path("sign-in/", sign_in, name="account_login"),
    path("sign-in/", sign_in, name="login"),
    path("sign-in/code/", in_place(mfa.authenticate), name="mfa_authenticate"),
    path("sign-in/house/", single_sign_on.leave, name="openid_connect_login"),
    path("sign-in/house/back/", single_sign_on.come_back, {"provider_id": single_sign_on.PROVIDER}, name="openid_connect_callback"),
    path("sign-in/first/<uidb64>/<token>/", form_page(FirstPasswordView.as_view()), name="first_password"),
    path("sign-out/", auth_views.LogoutView.as_view(), name="logout"),
    path("account/", account.account_page, name="account"),
    path("account/password/", account.password_change, name="password_change"),
    path("account/again/", form_page(allauth_account.reauthenticate), name="account_reauthenticate"),
    path("account/again/code/", form_page(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("account/second-factor/", account.second_factor, name="mfa_index"),
    path("account/second-factor/on/", form_page(totp.activate_totp), name="mfa_activate_totp"),
    path("account/second-factor/off/", form_page(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("account/second-factor/codes/", require_safe(recovery_codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("account/second-factor/codes/new/", form_page(recovery_codes.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path("account/sessions/", account.sessions_close, name="sessions_close"),
    path("account/keys/", account.key_make, name="key_make"),
    path("account/keys/<int:pk>/revoke/", account.key_revoke, name="key_revoke"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("status/", views.status_page, name="status"),
    path("status/audit/", views.audit_page, name="audit"),
    path("status/tasks/", views.failed_tasks, name="failed_tasks"),
    path("status/tasks/<int:pk>/<slug:action>/", views.failed_task_settle, name="failed_task_settle"),
    path("metrics", views.metrics, name="metrics"),
    path("healthz", api.healthz),
    path("readyz", api.readyz),
    path("api/v1/healthz", api.healthz, name="healthz"),
    path("api/v1/readyz", api.readyz, name="readyz"),
    path("", include("crawler.urls")),
    path("", include("annotation.urls")),
    path("", include("qa.urls")),
    path("", include("training.urls")),
]
