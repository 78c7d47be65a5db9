# SPDX-License-Identifier: Apache-2.0
"""What costs should come to, recounted with decimal and the calendar of Python."""
from __future__ import annotations

import calendar
import csv
import io
import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Callable, Iterable, NamedTuple

NANO = Decimal("1e-9")


class Cost(NamedTuple):
    day: date
    service: str
    amount: str  # as AWS writes it
    region: str = ""

    @property
    def exact(self) -> Decimal:
        return Decimal(self.amount).quantize(NANO, rounding=ROUND_HALF_EVEN)


KEYS: dict[str, Callable[[date], str]] = {
    "daily": lambda day: day.isoformat(),
    "weekly": lambda day: "{:04}-W{:02}".format(*day.isocalendar()[:2]),
    "monthly": lambda day: f"{day.year:04}-{day.month:02}",
}


class Recount:
    """Sums of costs for every window of a level that has any."""

    def __init__(self, costs: Iterable[Cost]) -> None:
        self.costs = list(costs)

    def windows(self, level: str) -> dict[str, dict[str, Decimal]]:
        """Key -> service -> sum."""
        found: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for cost in self.costs:
            found[KEYS[level](cost.day)][cost.service] += cost.exact
        return found

    def days(self, level: str, key: str) -> dict[str, Decimal]:
        found: dict[str, Decimal] = defaultdict(Decimal)
        for cost in self.costs:
            if KEYS[level](cost.day) == key:
                found[cost.day.isoformat()] += cost.exact
        return found

    def projected(self, month: str, today: date) -> Decimal:
        """What is known, and the average of it for each day behind the newest one; a month that is over as it is."""
        days = self.days("monthly", month)
        total = sum(days.values(), Decimal())
        year, number = map(int, month.split("-"))
        last = date(year, number, calendar.monthrange(year, number)[1])
        if last < today:
            return total
        to_come = (last - date.fromisoformat(max(days))).days
        return total + total * to_come / len(days)


SERVICES = ("Amazon Simple Storage Service", "Amazon Elastic Compute Cloud - Compute", "AWS Lambda", 'Tax, "VAT"')
REGIONS = ("", "eu-west-1", "us-east-1")


def random_costs(chance: random.Random, first: date, days: int) -> list[Cost]:
    """Some days have no costs at all, amounts have up to twelve decimals, and some are ties between two billionths."""
    made = []
    for offset in range(days):
        if chance.random() < 0.15:
            continue
        day = first + timedelta(days=offset)
        for service in SERVICES:
            for region in REGIONS:
                if chance.random() < 0.4:
                    continue
                digits = chance.randrange(0, 13)
                amount = Decimal(chance.randrange(10 ** (digits + 3))).scaleb(-digits)
                if chance.random() < 0.1:
                    amount = Decimal(chance.randrange(1000) * 10 + 5).scaleb(-10)
                made.append(Cost(day, service, format(amount, "f") if chance.random() < 0.9 else str(amount), region))
    return made


def to_csv(costs: Iterable[Cost]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["date", "service", "amount_usd", "region"])
    rows.writerows([cost.day.isoformat(), cost.service, cost.amount, cost.region] for cost in costs)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def to_pages(costs: Iterable[Cost], results_a_page: int = 7, estimated: Callable[[date], bool] = lambda day: False) -> list[dict]:
    """Answers of GetCostAndUsage, grouped by service and region."""
    by_day: dict[date, list[Cost]] = defaultdict(list)
    for cost in costs:
        by_day[cost.day].append(cost)
    results = [
        {
            "TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
            "Total": {},
            "Groups": [
                {
                    "Keys": [cost.service, cost.region],
                    "Metrics": {
                        "AmortizedCost": {"Amount": "99", "Unit": "USD"},
                        "UnblendedCost": {"Amount": cost.amount, "Unit": "USD"},
                        "UsageQuantity": {"Amount": "1.5", "Unit": "N/A"},
                    },
                }
                for cost in of_day
            ],
            "Estimated": estimated(day),
        }
        for day, of_day in sorted(by_day.items())
    ]
    definitions = [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "REGION"}]
    cuts = list(range(0, len(results), results_a_page))
    return [
        {
            "GroupDefinitions": definitions,
            "ResultsByTime": results[cut : cut + results_a_page],
            "DimensionValueAttributes": [],
            **({"NextPageToken": f"page-{cut}"} if cut != cuts[-1] else {}),
        }
        for cut in cuts
    ]
