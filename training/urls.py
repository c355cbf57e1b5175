from django.urls import include, path
from rest_framework.routers import SimpleRouter

from training import api, views

app_name = "training"
router = SimpleRouter(trailing_slash=False)
router.register("runs", api.RunViewSet, basename="api-run")
urlpatterns = [
    path("train/", views.runs, name="runs"),
    path("train/start/", views.run_start, name="run_start"),
    path("train/compare/", views.compare, name="compare"),
    path("train/schedules/", views.schedule_save, name="schedule_save"),
    path("train/schedules/<int:pk>/delete/", views.schedule_delete, name="schedule_delete"),
    path("train/<int:pk>/", views.run, name="run"),
    path("train/<int:pk>/files/<path:name>", views.run_file, name="run_file"),
    path("train/<int:pk>/cancel/", views.run_cancel, name="run_cancel"),
    path("train/<int:pk>/retry/", views.run_retry, name="run_retry"),
    path("train/<int:pk>/prelabels/", views.prelabels_ask, name="prelabels_ask"),
    path("train/<int:pk>/windows/", views.windows_ask, name="windows_ask"),
    path("api/v1/", include(router.urls)),
]
