"""Every route of the site: each app brings its own pages and its own part of /api/v1/."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from config import account, api, views
from config.signin import SignInForm
from qa.views import home

handler400, handler403, handler404, handler500 = api.bad_request, api.forbidden, api.not_found, api.server_error
urlpatterns = [
    path("", home, name="home"),
    path("sign-in/", auth_views.LoginView.as_view(redirect_authenticated_user=True, authentication_form=SignInForm), name="login"),
    path("sign-out/", auth_views.LogoutView.as_view(), name="logout"),
    path("account/", account.account_page, name="account"),
    path("account/password/", account.password_change, name="password_change"),
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
