# SPDX-License-Identifier: Apache-2.0
"""Costs, as Python calls them; what they come to is tested in tests/python/test_costs.py."""
from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from conftest import cost_explorer
from memfs_cache import Cache_Service, Closed, Cost_Entry, Invalid_Argument, Manual_Clock, Not_Found, Storage_Memory

ANSWER = {
    "GroupDefinitions": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    "ResultsByTime": [
        {
            "TimePeriod": {"Start": "2026-02-12", "End": "2026-02-13"},
            "Total": {},
            "Groups": [{"Keys": ["S3"], "Metrics": {"UnblendedCost": {"Amount": "0.0000123400", "Unit": "USD"}}}],
            "Estimated": False,
        }
    ],
}


@pytest.fixture
def cache():
    with Cache_Service(clock=Manual_Clock(datetime(2026, 2, 14, 12, tzinfo=timezone.utc))) as service:
        yield service


@pytest.mark.parametrize(("amount", "nanos"), [
    ("1.1", 1_100_000_000), (Decimal("1.1"), 1_100_000_000), (1.1, 1_100_000_000), (1, 1_000_000_000),
    (0.1 + 0.2, 300_000_000), (Decimal("1E-7"), 100), (1e-07, 100), ("0.0000000025", 2),
])
def test_amounts_are_exact_however_they_are_given(cache, amount, nanos):
    assert cache.costs.record(Cost_Entry("2026-02-13", "S3", amount))
    assert cache.costs.aggregation("daily", "2026-02-13").total_cost_nanos == nanos
    assert not cache.costs.record(Cost_Entry(date(2026, 2, 13), "S3", amount))


@pytest.mark.parametrize(("wrong", "member"), [
    ({"date": "2026-02-30"}, "date"), ({"date": datetime(2026, 2, 13)}, "date"), ({"date": "2026-02-20"}, "date"),
    ({"service": ""}, "service"), ({"amount_usd": float("nan")}, "amount_usd"), ({"amount_usd": True}, "amount_usd"),
    ({"amount_usd": -1}, "amount_usd"), ({"currency": "EUR"}, "currency"), ({"usage_quantity": "many"}, "usage_quantity"),
])
def test_an_entry_that_is_wrong_is_refused_by_the_name_of_its_member(cache, wrong, member):
    fields = {"date": "2026-02-13", "service": "S3", "amount_usd": 1, **wrong}
    with pytest.raises(Invalid_Argument, match=f"^{member}: "):
        cache.costs.record(Cost_Entry(**fields))
    assert cache.storage_fs.files_list() == []


def test_what_is_no_entry_is_a_type_error(cache):
    with pytest.raises(TypeError, match="Cost_Entry"):
        cache.costs.record({"date": "2026-02-13", "service": "S3", "amount_usd": 1})


def test_files_and_documents_are_imported(cache, tmp_path):
    (tmp_path / "answer.json").write_text(json.dumps(ANSWER))
    (tmp_path / "costs.csv").write_text("date,service,amount_usd\n2026-02-12,S3,2.5\n")
    assert cache.costs.import_file(ANSWER).total_usd == "0.00001234"
    assert cache.costs.import_file([ANSWER]).days_revised == 0
    assert cache.costs.import_file(tmp_path / "answer.json").days_revised == 0
    assert cache.costs.import_file(str(tmp_path / "costs.csv")).days_revised == 1
    entry, = cache.costs.entries("2026-02-12")
    assert (entry.service, entry.amount_usd, entry.date) == ("S3", "2.5", "2026-02-12")
    with pytest.raises(FileNotFoundError):
        cache.costs.import_file(tmp_path / "none.csv")
    with pytest.raises(Invalid_Argument, match="AmortizedCost"):
        cache.costs.import_file(ANSWER, metric="AmortizedCost")


def test_an_answer_is_that_of_the_http_route(cache):
    cache.costs.record(Cost_Entry("2026-02-13", "S3", "2", usage_quantity=Decimal("1.5"), usage_unit="GB-Mo"))
    cache.record_analytics_event({"event_type": "page_view"})
    month = cache.costs.current()
    assert (month.total_cost_usd, month.month_to_date_usd, month.cost_per_request) == (2, 2, 2)
    assert month.projected_month_usd == 2 + 15 * 2  # 2026-02-14 and on
    assert type(month).from_dict(month.to_dict()) == month
    day = cache.costs.aggregation("daily", "2026-02-12")
    assert (day.recorded, day.cost_per_request, day.delta_usd) == (False, None, None)


def test_a_budget_takes_thresholds_and_raises_alerts(cache):
    budget = cache.costs.set_budget("s3", Decimal("10"), period="daily", thresholds=(50, 100), service="S3")
    assert (budget.amount_usd, budget.thresholds, budget.service) == ("10", [50, 100], "S3")
    cache.costs.record(Cost_Entry("2026-02-13", "S3", 6))
    alert, = cache.costs.alerts()
    assert (alert.threshold_percent, alert.spent_usd, alert.window_key) == (50, "6", "2026-02-13")
    with pytest.raises(Invalid_Argument, match="^thresholds: "):
        cache.costs.set_budget("s3", 1, thresholds=[])
    assert cache.costs.remove_budget("s3") and not cache.costs.remove_budget("s3")


def test_credits_are_accepted_where_the_service_says_so():
    with Cache_Service(storage_fs=Storage_Memory(), accept_credits=True) as cache:
        cache.costs.record(Cost_Entry("2026-02-13", "Refund", -1))
        assert cache.costs.aggregation("daily", "2026-02-13").total_cost_usd == -1


@pytest.fixture
def explorer():
    with cost_explorer() as service:
        yield service


def test_costs_are_collected_from_aws_with_the_keys_of_the_environment(explorer):
    clock = Manual_Clock(datetime(2026, 2, 14, 12, tzinfo=timezone.utc))
    with Cache_Service(clock=clock, costs_endpoint_url=explorer.url, costs_region="us-east-1") as cache:
        report = cache.costs.collect(backfill_days=2)
        assert (report.asked_from, report.asked_until, report.days, report.total_usd) == ("2026-02-12", "2026-02-15", 3, "4.5")
        assert cache.costs.aggregation("daily", "2026-02-13").total_cost_usd == 1.5
        clock.advance(24 * 3_600_000)
        assert cache.costs.collect(reread_days=14, metric="NetUnblendedCost").asked_from == "2026-02-01"
        assert explorer.asked[-1]["Metrics"][0] == "NetUnblendedCost"
        assert [cache.costs.collect().asked_from for _ in range(3)] == ["2026-02-15", "2026-02-15", None]
        with pytest.raises(Invalid_Argument, match="^backfill_days: "):
            cache.costs.collect(backfill_days=401)
        assert cache.costs("lab").collect(backfill_days=0).days == 1


def test_without_keys_nothing_is_collected(explorer, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with Cache_Service(costs_endpoint_url=explorer.url) as cache, pytest.raises(Not_Found, match="AWS_ACCESS_KEY_ID"):
        cache.costs.collect()
    assert not explorer.asked


def test_after_closing_nothing_is_recorded(cache):
    cache.close()
    with pytest.raises(Closed):
        cache.costs.record(Cost_Entry("2026-02-13", "S3", 1))
