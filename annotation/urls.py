"""The pages and the API routes of labelling and of people."""

from django.urls import path

from annotation.api import me, qualification, samples, staff, turns
from annotation.views import gold, hints, qualify, webhooks, workbench
from annotation.views import me as my_page
from annotation.views import people as people_page
from annotation.views import samples as samples_page

app_name = "annotation"
API = "api/v1/"
urlpatterns = [
    path("annotate/", workbench.annotate, name="annotate"),
    path("qualify/", qualify.qualify, name="qualify"),
    path("leader/", workbench.leader, name="leader"),
    path("expert/", workbench.expert, name="expert"),
    path("me/", my_page.me, name="me"),
    path("people/", people_page.people, name="people"),
    path("samples/", samples_page.samples, name="samples"),
    path("hints/", hints.hints, name="hints"),
    path("people/gold/", gold.gold, name="gold"),
    path("people/webhooks/", webhooks.webhooks, name="webhooks"),
    path(f"{API}assignments/next", turns.NextView.as_view(), name="api-next"),
    path(f"{API}assignments/<int:pk>/draft", turns.DraftView.as_view(), name="api-draft"),
    path(f"{API}assignments/<int:pk>/submit", turns.SubmitView.as_view(), name="api-submit"),
    path(f"{API}assignments/<int:pk>/skip", turns.SkipView.as_view(), name="api-skip"),
    path(f"{API}assignments/<int:pk>/flag", turns.FlagView.as_view(), name="api-flag"),
    path(f"{API}assignments/<int:pk>/heartbeat", turns.HeartbeatView.as_view(), name="api-heartbeat"),
    path(f"{API}assignments/<int:pk>/hint", turns.HintView.as_view(), name="api-hint"),
    path(f"{API}votes/<int:pk>/undo", turns.UndoView.as_view(), name="api-undo"),
    path(f"{API}adjectives", me.AdjectivesView.as_view(), name="api-adjectives"),
    path(f"{API}me/progress", me.MyProgressView.as_view(), name="api-my-progress"),
    path(f"{API}me/votes", me.MyVotesView.as_view(), name="api-my-votes"),
    path(f"{API}me/preferences", me.PreferencesView.as_view(), name="api-preferences"),
    path(f"{API}qualification", qualification.StartView.as_view(), name="api-qualification"),
    path(f"{API}qualification/<int:pk>/submit", qualification.FinishView.as_view(), name="api-qualification-submit"),
    path(f"{API}samples", samples.SamplesView.as_view(), name="api-samples"),
    path(f"{API}samples/<int:pk>/timeline", samples.TimelineView.as_view(), name="api-timeline"),
    path(f"{API}samples/<int:pk>/reopen", samples.ReopenView.as_view(), name="api-reopen"),
    path(f"{API}samples/<int:pk>/restore", samples.RestoreView.as_view(), name="api-restore"),
    path(f"{API}batches", samples.BatchesView.as_view(), name="api-batches"),
    path(f"{API}batches/<int:pk>", samples.BatchView.as_view(), name="api-batch"),
    path(f"{API}batches/<int:pk>/collect", samples.CollectView.as_view(), name="api-collect"),
    path(f"{API}groups", staff.GroupsView.as_view(), name="api-groups"),
    path(f"{API}groups/assign", staff.GroupsAssignView.as_view(), name="api-groups-assign"),
    path(f"{API}people", staff.PeopleView.as_view(), name="api-people"),
    path(f"{API}people/import", staff.ImportView.as_view(), name="api-people-import"),
    path(f"{API}people/swap", staff.SwapView.as_view(), name="api-people-swap"),
    path(f"{API}people/<int:pk>", staff.PersonView.as_view(), name="api-person"),
    path(f"{API}people/<int:pk>/pause", staff.PauseView.as_view(), name="api-pause"),
    path(f"{API}people/<int:pk>/resume", staff.ResumeView.as_view(), name="api-resume"),
]
