from django.urls import path, re_path

from crawler import api, views

app_name = "crawler"
urlpatterns = [
    path("collect/", views.collect, name="collect"),
    path("collect/stages/", views.stage_new, name="stage-new"),
    path("collect/stages/<int:pk>/start/", views.stage_start, name="stage-start"),
    path("collect/stages/<int:pk>/stop/", views.stage_stop, name="stage-stop"),
    path("collect/terms/<int:pk>/block/", views.term_block, name="term-block"),
    path("review/", views.review, name="review"),
    re_path(r"^review/(?P<pk>\d+)/(?P<action>keep|drop|undo)/$", views.decide, name="decide"),
    path("clips/<str:token>", views.clip, name="clip"),
    path("api/v1/collection/funnel", api.funnel, name="funnel"),
]
