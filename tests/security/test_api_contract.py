"""Whatever is sent to the API, the answer is one that its own schema announces, and never a 5xx (Schemathesis).

CONTRACT_EXAMPLES says how many cases each operation gets; docs/reliability.md tells the longest run so far.
"""

import os

import numpy as np
import pytest
from django.contrib.auth.models import Group as Role
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import services as annotation
from annotation.models import Assignment, Batch, Group, Person, QualificationAttempt, Sample, Vote
from tests.factories import AssignmentFactory, PersonFactory, SampleFactory, VoteFactory
from tests.security.tokens import token_of
from training.models import Run

schemathesis = pytest.importorskip("schemathesis", reason="a development tool: see requirements-dev.txt")
pytestmark = [pytest.mark.slow, pytest.mark.django_db]
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "12"))
schemathesis.checks.load_all_checks()
# Left out: whether good data is taken (a schema cannot say that a lease still holds), and whether bad data is refused, since
# a serializer takes 1 where the text "1" is asked for.
CHECKED = [
    schemathesis.checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
        "response_schema_conformance", "unsupported_method", "allow_header_conformance",
    )
]  # fmt: skip
schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
schema.app = get_wsgi_application()
OPERATIONS = {f"{found.ok().method.upper()} {found.ok().path}": found.ok() for found in schema.get_all_operations()}
ROWS = {
    "assignments": Assignment, "votes": Vote, "samples": Sample, "batches": Batch,
    "qualification": QualificationAttempt, "people": Person, "runs": Run,
}  # fmt: skip


@pytest.fixture
def one_connection():
    """As Django's own test client does: the end of a request does not end the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(one_connection, settings):
    """Somebody in every role at once, with turns, votes and samples of the own group, so that routes lead somewhere."""
    settings.TRAIN_ENGINE = "tests.training.app.fake_engine"
    group = Group.objects.create(letter="A")
    person = PersonFactory(group=group, gender="M")
    person.user.groups.set(Role.objects.exclude(name="admin"))
    for gender, role in (("M", "annotator"), ("F", "annotator"), ("F", "leader")):
        PersonFactory(group=group, gender=gender, role=role)
    for _ in range(3):
        AssignmentFactory(sample=SampleFactory(group=group), person=person)
        VoteFactory(sample=SampleFactory(group=group), person=person)
    annotation.qualification_start(person, part="sentiment", rng=np.random.default_rng(1))
    return person


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_answer_is_one_that_the_schema_announces(world, name):
    operation = OPERATIONS[name]
    token = token_of(world.user)
    model = next((model for word, model in ROWS.items() if f"/{word}/" in operation.path), None)
    keys = list(model.objects.values_list("pk", flat=True)) if model else []
    modes = st.sampled_from(list(schemathesis.GenerationMode))

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def ask(data):
        case = data.draw(operation.as_strategy(generation_mode=data.draw(modes)))
        if keys and data.draw(st.booleans()):
            name = next((name for name in ("pk", "id") if name in (case.path_parameters or {})), None)
            if name:
                case.path_parameters[name] = data.draw(st.sampled_from(keys))
        with transaction.atomic():
            case.call_and_validate(headers={"Authorization": f"Token {token}"}, checks=CHECKED)
            transaction.set_rollback(True)

    ask()
