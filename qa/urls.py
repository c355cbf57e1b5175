from django.urls import path

from qa import api, views

app_name = "qa"
urlpatterns = [
    path("quality/", views.quality, name="quality"),
    path("quality/labels/", views.behind, name="behind"),
    path("quality/tables/<str:name>.csv", views.quality_table, name="quality_table"),
    path("quality/opinions/<str:name>", views.opinions_file, name="opinions_file"),
    path("quality/<str:stage>/people/<int:pk>/<str:emotion>/", views.ratio, name="ratio"),
    path("quality/design/", views.design, name="design"),
    path("quality/design/<int:pk>/<str:name>.csv", views.design_table, name="design_table"),
    path("quality/measure", views.measure, name="measure"),
    path("quality/<str:stage>/propose", views.propose, name="propose"),
    path("quality/<str:stage>/replace", views.replace, name="replace"),
    path("quality/<str:stage>/<str:letter>/<int:index>/", views.rows, name="rows"),
    path("quality/steps/<int:pk>/<str:action>", views.step, name="step"),
    path("dataset/", views.dataset, name="dataset"),
    path("dataset/figures/<str:name>.svg", views.figure, name="figure"),
    path("dataset/tables/<str:name>.csv", views.csv_table, name="table"),
    path("dataset/lineage/", views.lineage, name="lineage"),
    path("dataset/make/", views.release_new, name="release_new"),
    path("dataset/releases/<slug:name>/download", views.release_download, name="release_download"),
    path("dataset/releases/<slug:name>/", views.release, name="release"),
    path("dataset/releases/<slug:name>/verify", views.release_verify, name="release_verify"),
    path("dataset/releases/<slug:name>/diff", views.release_diff, name="release_diff"),
    path("mos/", views.mos, name="mos"),
    path("mos/<slug:name>/", views.mos_study, name="mos_study"),
    path("mos/clips/<int:pk>", views.mos_clip, name="mos_clip"),
    path("api/v1/reports/consistency", api.ConsistencyView.as_view(), name="api_consistency"),
    path("api/v1/releases", api.ReleasesView.as_view(), name="api_releases"),
]
