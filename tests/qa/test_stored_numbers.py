"""A report read back from PostgreSQL has its keys in another order (jsonb: the shorter first), and must say the same."""

import json

import pytest

from annotation.rules.taxonomy import EMOTIONS
from qa import selectors, services
from qa.export.reports import opinion_tables, quality_tables, simulation_tables, statistics_tables
from qa.rules.protocol import Settings
from qa.views.quality import _overall_chart, _stage
from tests.qa.test_crosscheck import answer, drawn, pilot  # noqa: F401 - fixtures


def stored(value):
    """What jsonb makes of it."""
    if isinstance(value, dict):
        return {key: stored(value[key]) for key in sorted(value, key=lambda key: (len(key.encode()), key.encode()))}
    return [stored(item) for item in value] if isinstance(value, list) else value


def numbers_of(value):
    return json.loads(json.dumps(value, default=float))


@pytest.fixture
def report(drawn):  # noqa: F811 - the fixture
    answer("sA")
    numbers = numbers_of(services.report_make().numbers)
    for group in numbers["stages"][0]["groups"]:
        for member in group["members"]:
            member["ratios"] = {emotion: place / 10 for place, emotion in enumerate(EMOTIONS)}
    return numbers


def told(tables):
    return {name: (table.title, table.columns, table.rows) for name, table in tables.items()}


def test_tables_and_charts_of_a_stored_report_say_what_was_measured(report):
    assert stored(report) == report
    assert told(quality_tables(stored(report), None)) == told(quality_tables(report, None))
    for stage in report["stages"]:
        assert _stage(stored(stage))["ratio_chart"] == _stage(stage)["ratio_chart"]
    assert _overall_chart(stored(report["agreement"])) == _overall_chart(report["agreement"])


def test_tables_of_a_stored_trial_say_what_came_out():
    numbers = numbers_of(services.simulation_numbers(300, Settings(), seed=1))
    assert told(simulation_tables(stored(numbers))) == told(simulation_tables(numbers))
    assert simulation_tables(numbers)["protocols"].rows[0][0] == "ladder"


def test_tables_of_stored_opinions_and_statistics_keep_their_columns(report):
    opinions, statistics = numbers_of(selectors.opinions_numbers(selectors.opinions_fitted())), numbers_of(selectors.dataset_numbers())
    assert told(opinion_tables(stored(opinions))) == told(opinion_tables(opinions))
    assert told(statistics_tables(stored(statistics))) == told(statistics_tables(statistics))
