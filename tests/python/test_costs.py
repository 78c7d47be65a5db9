# SPDX-License-Identifier: Apache-2.0
"""Costs through the command and the admin routes, against a recount with Python's decimal."""
from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from cost_oracle import Cost, Recount, random_costs, to_csv, to_pages
from fake_cost_explorer import ENVIRONMENT, SECRET, SESSION, Fake_Cost_Explorer
from harness import Store

FIRST = date(2023, 12, 28)  # with the edge of two years and the leap day of 2024
DAYS = 65
HEADER = "date,service,amount_usd\n"


def costs(store: Store, *words: str, exit_code: int = 0, input: bytes | None = None) -> list[dict]:
    """What `memfs-cache costs` prints, one object a line."""
    finished = store.command.run("costs", *words, "--storage", store.url, "--json", input=input)
    assert finished.exit_code == exit_code, finished.err.decode(errors="replace")
    return [json.loads(line) for line in finished.out.splitlines()]


def refusal(store: Store, *words: str, exit_code: int, input: bytes | None = None) -> str:
    finished = store.command.run("costs", *words, "--storage", store.url, input=input)
    assert finished.exit_code == exit_code and not finished.out, finished.err.decode(errors="replace")
    return finished.err.decode()


def nanos(amount: Decimal) -> int:
    whole = amount * 10**9
    assert whole == int(whole)
    return int(whole)


def check_all_windows(store: Store, recount: Recount) -> None:
    for level in ("daily", "weekly", "monthly"):
        wanted = recount.windows(level)
        assert wanted
        for window in costs(store, "show", level, *wanted):
            services = wanted[window["window_key"]]
            total = sum(services.values(), Decimal())
            assert window["recorded"] and window["final"]
            assert window["total_cost_nanos"] == nanos(total)
            assert window["total_cost_usd"] == pytest.approx(float(total), rel=1e-15)
            assert window["cost_by_service_nanos"] == {name: nanos(amount) for name, amount in services.items()}
            rows = list(window["cost_by_service_nanos"].items())
            assert rows == sorted(rows, key=lambda row: (-row[1], row[0]))
            by_day = recount.days(level, window["window_key"])
            assert window["cost_by_day"] == {day: pytest.approx(float(cost)) for day, cost in by_day.items()}
            if total:
                assert sum(Decimal(str(share)) for share in window["top_cost_drivers"].values()) == 100
                for name, share in window["top_cost_drivers"].items():
                    assert abs(Decimal(str(share)) - 100 * services[name] / total) < Decimal("0.01")


@pytest.mark.parametrize("form", ["csv", "pages in one file", "a file for each page"])
def test_every_window_equals_the_recount(store, tmp_path, chance, form):
    made = random_costs(chance, FIRST, DAYS)
    if form == "csv":
        (tmp_path / "costs.csv").write_bytes(to_csv(made))
        files = [tmp_path / "costs.csv"]
    elif form == "pages in one file":
        (tmp_path / "costs.json").write_text(json.dumps(to_pages(made)))
        files = [tmp_path / "costs.json"]
    else:
        files = [tmp_path / f"{number:03}.json" for number in range(len(to_pages(made)))]
        for file, page in zip(files, to_pages(made)):
            file.write_text(json.dumps(page))
    recount = Recount(made)
    report, = costs(store, "import", *map(str, files))
    assert report["days"] == report["days_revised"] == len(recount.windows("daily"))
    assert report["entries"] == len(made)
    assert Decimal(report["total_usd"]) == sum(cost.exact for cost in made)
    assert costs(store, "import", *map(str, files))[0]["days_revised"] == 0
    check_all_windows(store, recount)
    if form != "csv":
        return
    # A part of it again, with other amounts
    revised = {cost.day for cost in made[:: len(made) // 5]}
    later = [cost._replace(amount=str(cost.exact + 1)) if cost.day in revised else cost for cost in made]
    costs(store, "import", "-", input=to_csv(cost for cost in later if cost.day in revised))
    check_all_windows(store, Recount(later))


def test_weeks_belong_to_the_year_of_their_thursday(store):
    rows = ["2024-12-29,S3,1", "2024-12-30,S3,2", "2025-01-05,S3,4", "2025-01-06,S3,8"]
    costs(store, "import", "-", input=(HEADER + "\n".join(rows)).encode())
    totals = [window["total_cost_usd"] for window in costs(store, "show", "weekly", "2024-W52", "2025-W01", "2025-W02")]
    assert totals == [1, 6, 8]


def test_the_current_month_is_projected_as_by_hand(store):
    """The clock is the machine's, so the oracle has its day as well; the test is repeated if the day changes meanwhile."""
    while True:
        today = datetime.now(timezone.utc).date()
        month = [Cost(date(today.year, today.month, day), "S3", "1.5") for day in range(1, today.day + 1)]
        costs(store, "import", "-", input=to_csv(month))
        current, = costs(store, "show")
        if datetime.now(timezone.utc).date() == today:
            break
    recount = Recount(month)
    assert current["window_key"] == f"{today.year:04}-{today.month:02}" and not current["final"]
    assert current["month_to_date_usd"] == 1.5 * today.day
    assert current["projected_month_usd"] == pytest.approx(float(recount.projected(current["window_key"], today)))


@pytest.mark.parametrize(("text", "why"), [
    (HEADER + "2026-02-13,S3,abc\n", "line 2: amount_usd"),
    (HEADER + "2026-02-13,S3,-1\n", "accept_credits"),
    (HEADER + "2026-02-13,S3,1\n2026-02-13,S3,2\n", "line 3"),
    (HEADER + '2026-02-13,"S3,1\n', "is the file cut short?"),
    ("date,service,amount_usd,currency\n2026-02-13,S3,1,EUR\n", "amounts in EUR"),
    ('{"ResultsByTime": [', "is the file cut short?"),
    ("", "line 1"),
])
def test_a_file_that_is_wrong_changes_nothing_and_says_why(store, tmp_path, text, why):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(HEADER + "2026-02-12,S3,1\n")
    bad.write_text(text)
    costs(store, "import", str(good))
    before = store.files()
    good.write_text(HEADER + "2026-02-12,S3,2\n")
    assert why in refusal(store, "import", str(good), str(bad), exit_code=1)
    assert store.files() == before


def test_pages_that_are_missing_days_told_twice_and_months_are_refused(store, tmp_path, chance):
    pages = to_pages(random_costs(chance, FIRST, 20), results_a_page=5)
    files = [tmp_path / f"{number}.json" for number in range(len(pages))]
    for file, page in zip(files, pages):
        file.write_text(json.dumps(page))
    assert "NextPageToken" in refusal(store, "import", *map(str, files[:-1]), exit_code=1)
    other = tmp_path / "other.csv"
    other.write_text(HEADER + f"{pages[0]['ResultsByTime'][0]['TimePeriod']['Start']},S3,1\n")
    assert "tell different costs" in refusal(store, "import", *map(str, files), str(other), exit_code=1)
    pages[-1]["ResultsByTime"][0]["TimePeriod"]["End"] = "2030-01-01"
    files[-1].write_text(json.dumps(pages[-1]))
    assert "Granularity DAILY" in refusal(store, "import", *map(str, files), exit_code=1)
    assert "UnblendedCost" in refusal(store, "import", "--metric", "BlendedCost", *map(str, files), exit_code=1)
    assert not store.files("cache")
    assert "costs have daily, weekly and monthly" in refusal(store, "show", "hourly", "2026-02-13T14", exit_code=2)
    assert "is a folder" in refusal(store, "import", str(tmp_path), exit_code=2)


def test_budgets_raise_alerts_once(store):
    costs(store, "budget", "set", "all", "100.50", "--thresholds", "50,100")
    costs(store, "budget", "set", "s3", "1", "--period", "daily", "--service", "S3")
    assert [budget["name"] for budget in costs(store, "budget", "list")] == ["all", "s3"]
    assert costs(store, "alerts") == []
    rows = HEADER + "2026-02-12,EC2,50.249999999\n2026-02-13,S3,0.8\n"
    assert costs(store, "import", "-", input=rows.encode())[0]["alerts_raised"] == 3
    assert costs(store, "import", "-", input=rows.encode())[0]["alerts_raised"] == 0
    found = {(alert["budget"], alert["window_key"], alert["threshold_percent"], alert["spent_usd"]) for alert in costs(store, "alerts")}
    assert found == {("all", "2026-02", 50, "51.049999999"), ("s3", "2026-02-13", 50, "0.8"), ("s3", "2026-02-13", 80, "0.8")}
    costs(store, "budget", "remove", "s3")
    refusal(store, "budget", "remove", "s3", exit_code=1)
    assert len(costs(store, "alerts")) == 3
    assert "amount_usd" in refusal(store, "budget", "set", "all", "much", exit_code=2)


def test_people_read_what_programs_read(store):
    costs(store, "import", "-", input=(HEADER + '2026-02-12,"\x1b[31mS3",1\n').encode(), exit_code=1)
    costs(store, "import", "-", input=(HEADER + "2026-02-12,S3 \u200b,1.25\n2026-02-12,EC2,3.75\n").encode())
    said = store.command.run("costs", "show", "daily", "2026-02-12", "--storage", store.url).out.decode()
    assert "total              5 USD" in said and '75.00 %  "EC2"' in said and '25.00 %  "S3 \\u200b"' in said
    entries = store.command.run("costs", "entries", "2026-02-12", "--storage", store.url).out.decode()
    assert "3.75 USD" in entries and '"EC2"' in entries
    assert "nothing known" in store.command.run("costs", "show", "daily", "2026-02-11", "--storage", store.url).out.decode()


def test_costs_live_through_the_routes_and_are_joined_with_what_happened(store, start_server, tmp_path):
    log = tmp_path / "access.log"
    log.write_text("".join(
        f'203.0.113.{client} - - [13/Feb/2026:10:00:0{second} +0000] "GET /page HTTP/1.1" 200 5 "-" "-"\n'
        for client, second in [(1, 1), (1, 2), (2, 3), (2, 4)]))
    store.import_(log)
    server = start_server(store)
    answer = server.ask_admin("/costs/import", method="POST", body=(HEADER + "2026-02-12,S3,5\n2026-02-13,S3,2\n").encode())
    assert answer.status == 200 and answer.json()["days"] == 2
    day = server.ask_admin("/costs/daily/2026-02-13").json()
    assert (day["total_requests"], day["total_transfers"], day["unique_visitors"]) == (4, 0, 2)
    assert (day["cost_per_request"], day["cost_per_transfer"], day["cost_per_active_user"]) == (0.5, 0, 1)
    assert (day["previous_total_usd"], day["delta_usd"], day["delta_percent"]) == (5, -3, -60)
    before = server.ask_admin("/costs/daily/2026-02-12").json()
    unknown = ("total_requests", "total_transfers", "unique_visitors", "cost_per_request", "cost_per_transfer", "cost_per_active_user")
    assert before["total_cost_usd"] == 5 and all(before[name] is None for name in unknown)
    assert server.ask_admin("/costs/current").json()["window_type"] == "monthly"
    assert day == costs(store, "show", "daily", "2026-02-13")[0]
    # Budgets
    made = server.post_admin("/costs/budgets", name="all", amount_usd="6.00", thresholds="100")
    assert made.status == 200 and made.json() == server.ask_admin("/costs/budgets").json()["budgets"][0]
    server.ask_admin("/costs/import", method="POST", body=(HEADER + "2026-02-13,S3,1\n").encode())
    alert, = server.ask_admin("/costs/alerts?limit=5").json()["alerts"]
    assert (alert["window_key"], alert["spent_usd"]) == ("2026-02", "6")
    assert server.ask_admin("/costs/budgets/all/remove", method="POST").json() == {"removed": True}
    # What cannot be
    wrong = server.ask_admin("/costs/import", method="POST", body=b"date,service\n")
    assert wrong.status == 400 and wrong.json()["error"]["code"] == "invalid_argument"
    for target in ("/costs/hourly/2026-02-13T14", "/costs/daily/2026-02-30", "/costs/daily/2200-01-01"):
        assert server.ask_admin(target).status == 400
    assert server.post_admin("/costs/budgets", name="all", amount_usd=6).json()["error"]["field"] == "amount_usd"
    assert server.post_admin("/costs/budgets", name="ALL", amount_usd="6").json()["error"]["field"] == "name"


def test_verify_knows_the_windows_of_costs(store):
    rows = HEADER + "2026-02-12,S3,1\n2026-02-13,S3,2\n"
    costs(store, "import", "-", input=rows.encode())
    costs(store, "show", "monthly", "2026-02")
    costs(store, "show", "daily", "2026-02-13")

    def verify(*options: str, exit_code: int = 0) -> dict:
        finished = store.command.run("verify", "--storage", store.url, "--json", *options)
        assert finished.exit_code == exit_code, finished.err
        return json.loads(finished.out)

    report = verify()
    assert (report["cost_days"], report["windows_due"], report["unknown_windows"]) == (2, 0, 0)
    assert report["windows"] == 3  # those that were asked for, and the day before
    costs(store, "import", "-", input=rows.replace("13,S3,2", "13,S3,3").encode())
    assert verify()["windows_due"] == 2
    window = store.folder / "cache/costs/data/aggregations/daily/2026/02/12.json"
    window.write_bytes(window.read_bytes().replace(b"1000000000", b"2000000000"))
    problem, = verify(exit_code=1)["problems"]
    assert problem["path"] == "cache/costs/data/aggregations/daily/2026/02/12.json"
    assert verify("--repair")["repaired_count"] == 1 and verify()["sound"]
    day = store.folder / "cache/costs/data/raw/2026/02/12/cost-data.json"
    day.write_bytes(day.read_bytes()[:-5])
    assert str(day.relative_to(store.folder)) in [problem["path"] for problem in verify(exit_code=1)["problems"]]


# The collector


@pytest.fixture
def explorer():
    service = Fake_Cost_Explorer()
    yield service
    service.stop()


def collect(store: Store, explorer: Fake_Cost_Explorer, *options: str, exit_code: int = 0, env: dict[str, str] | None = None):
    """One run of `memfs-cache costs collect`: its report, or what it complains of."""
    finished = store.command.run("costs", "collect", "--endpoint-url", explorer.url, "--storage", store.url, "--json", *options,
                                 env={**ENVIRONMENT, **(env or {})})
    assert finished.exit_code == exit_code, finished.err.decode(errors="replace")
    assert SECRET.encode() not in finished.err + finished.out and SESSION.encode() not in finished.err
    return json.loads(finished.out) if exit_code == 0 else finished.err.decode()


def mark(store: Store) -> dict:
    return json.loads((store.folder / "cache/costs/data/collector/high-water-mark.json").read_bytes())


@pytest.fixture
def today():
    """The machine's day, which runs of the command see as well; the minute before midnight is waited out."""
    now = datetime.now(timezone.utc)
    if now.hour == 23 and now.minute == 59:
        time.sleep(61 - now.second)
    return datetime.now(timezone.utc).date()


def test_a_day_that_is_over_is_collected_once_and_today_three_times(store, explorer, today):
    ago = lambda days: (today - timedelta(days=days)).isoformat()  # noqa: E731
    tomorrow = ago(-1)
    report = collect(store, explorer, "--backfill-days", "100")
    assert (report["asked_from"], report["asked_until"], report["days"]) == (ago(100), tomorrow, 101)
    assert explorer.periods() == [(ago(100), tomorrow)] and len(explorer.asked) == 3  # pages
    assert explorer.asked[0]["Filter"]["Not"]["Dimensions"] == {"Key": "RECORD_TYPE", "Values": ["Credit", "Refund"]}
    assert (mark(store)["last_collected_date"], mark(store)["days_collected_total"]) == (ago(1), 100)
    # Each run is another process, so the mark is what it knows
    for _ in range(2):
        assert collect(store, explorer)["asked_from"] == today.isoformat()
    assert collect(store, explorer)["asked_from"] is None
    assert explorer.periods()[1:] == [(today.isoformat(), tomorrow)] * 2
    assert costs(store, "show", "daily", ago(1))[0]["total_cost_nanos"] == 1_500_000_000
    # As if yesterday had been today: that day is over now and is asked for once more, with today
    path = store.folder / "cache/costs/data/collector/high-water-mark.json"
    path.write_text(json.dumps({**mark(store), "last_collected_date": ago(2), "today": ago(1)}))
    assert collect(store, explorer)["asked_from"] == ago(1)
    assert collect(store, explorer)["asked_from"] == today.isoformat()


def test_revised_costs_are_read_again_once_a_day_and_reach_every_level(store, explorer, today):
    explorer.estimated = lambda day: True
    collect(store, explorer, "--backfill-days", "60")
    month = (today - timedelta(days=14)).strftime("%Y-%m")
    revised = today - timedelta(days=14)
    levels = [("daily", revised.isoformat()), ("weekly", "{:04}-W{:02}".format(*revised.isocalendar()[:2])), ("monthly", month)]
    before = [costs(store, "show", level, key)[0]["total_cost_usd"] for level, key in levels]
    explorer.costs = lambda day: {"Amazon Simple Storage Service": "1.5", **({"Late": "10"} if day == revised else {})}
    asked = len(explorer.asked)
    report = collect(store, explorer, "--reread-days", "14")
    assert (report["asked_from"], report["days_revised"]) == (revised.isoformat(), 1)
    assert [costs(store, "show", level, key)[0]["total_cost_usd"] for level, key in levels] == [cost + 10 for cost in before]
    assert collect(store, explorer, "--reread-days", "14")["asked_from"] == today.isoformat()
    assert len(explorer.asked) == asked + 2


def test_a_run_that_breaks_off_is_made_up_for_by_the_next(store, explorer, today):
    explorer.script = lambda number: (400, {"__type": "ValidationException"}) if number == 2 else None
    assert "Cost Explorer answers 400" in collect(store, explorer, "--backfill-days", "60", exit_code=1)
    assert not store.files("cache")
    explorer.script = lambda number: None
    assert collect(store, explorer, "--backfill-days", "60")["days"] == 61
    # Killed between the costs and the mark
    (store.folder / "cache/costs/data/collector/high-water-mark.json").unlink()
    assert collect(store, explorer, "--backfill-days", "60")["days_revised"] == 0
    assert mark(store)["days_collected_total"] == 60


def test_an_answer_that_leaves_a_day_out_is_not_taken_for_all(store, explorer):
    explorer.script = lambda number: (200, {"ResultsByTime": []})
    assert "tells nothing of" in collect(store, explorer, "--backfill-days", "3", exit_code=1)
    explorer.script = lambda number: (200, {"ResultsByTime": [], "NextPageToken": "again"})
    assert "do not end" in collect(store, explorer, "--backfill-days", "3", exit_code=1)
    assert not store.files("cache")


def test_being_throttled_and_interrupted_is_waited_out(store, explorer):
    troubles = [(400, {"__type": "com.amazonaws#ThrottlingException"}), (503, {}), (400, {"__type": "LimitExceededException"})]
    explorer.script = lambda number: troubles[number - 1] if number <= len(troubles) else None
    assert collect(store, explorer, "--backfill-days", "2")["days"] == 3
    assert len(explorer.asked) == len(troubles) + 1


def test_a_server_collects_with_its_own_keys_when_it_is_told_to(store, explorer, start_server, today):
    server = start_server(store, env=ENVIRONMENT, options=["--costs-endpoint-url", explorer.url, "--accept-credits", "true"])
    answer = server.post_admin("/costs/collect", backfill_days=3, metric="NetUnblendedCost")
    assert answer.status == 200, answer
    ago = lambda days: (today - timedelta(days=days)).isoformat()  # noqa: E731
    assert answer.json() == {"days": 4, "days_revised": 4, "entries": 4, "total_usd": "6", "alerts_raised": 0,
                             "asked_from": ago(3), "asked_until": ago(-1)}
    assert "Filter" not in explorer.asked[0] and explorer.asked[0]["Metrics"][0] == "NetUnblendedCost"
    assert server.ask_admin(f"/costs/daily/{ago(1)}").json()["total_cost_nanos"] == 1_500_000_000
    assert collect(store, explorer)["asked_from"] == today.isoformat()  # the command goes on where the server stopped
    assert server.post_admin("/costs/collect").json()["asked_from"] == today.isoformat()
    assert server.post_admin("/costs/collect").json()["asked_from"] is None
    assert server.post_admin("/costs/collect", backfill_days=401).json()["error"]["field"] == "backfill_days"
    assert server.ask_admin("/costs/collect", method="POST", key="").status == 401
    assert not any(SECRET.encode() in answer or SESSION.encode() in answer for answer in server.answers)


@pytest.mark.parametrize(("environment", "why"), [
    ({"AWS_ACCESS_KEY_ID": "OTHER"}, "AWS_ACCESS_KEY_ID"),
    ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "HOME": "/nowhere"},
     "AWS_ACCESS_KEY_ID"),
])
def test_keys_of_the_server_that_do_not_do_are_no_fault_of_who_asks(store, explorer, start_server, environment, why):
    server = start_server(store, env={**ENVIRONMENT, **environment}, options=["--costs-endpoint-url", explorer.url])
    answer = server.post_admin("/costs/collect", backfill_days=1)
    assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable")
    assert why in answer.json()["error"]["message"] and not store.files("cache/costs")


@pytest.mark.parametrize(("environment", "why"), [
    ({"AWS_ACCESS_KEY_ID": "OTHER"}, "correct AWS_ACCESS_KEY_ID"),
    ({"AWS_SECRET_ACCESS_KEY": "other"}, "correct AWS_SECRET_ACCESS_KEY"),
])
def test_keys_that_are_wrong_are_named_and_not_tried_twice(store, explorer, environment, why):
    assert why in collect(store, explorer, exit_code=1, env=environment)
    assert not explorer.asked and not store.files("cache")


def test_without_keys_nothing_is_asked(store, explorer, tmp_path):
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "HOME": str(tmp_path),
               "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    assert "AWS_ACCESS_KEY_ID" in collect(store, explorer, exit_code=1, env=nothing)
    assert not explorer.asked


def test_credits_are_asked_for_where_they_are_accepted(store, explorer, today):
    explorer.costs = lambda day: {"Tax": "2", "Refund": "-0.5"}
    assert "accept_credits" in collect(store, explorer, "--backfill-days", "1", exit_code=1)
    assert not store.files("cache")
    collect(store, explorer, "--backfill-days", "1", "--accept-credits", "--metric", "NetUnblendedCost")
    assert "Filter" not in explorer.asked[-1] and explorer.asked[-1]["Metrics"][0] == "NetUnblendedCost"
    assert costs(store, "show", "daily", today.isoformat())[0]["total_cost_usd"] == 1.5
