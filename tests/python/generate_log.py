#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a combined access log that has every awkward thing in it, and says what each line means.

    python3 generate_log.py [--seed N] [--lines N] [--first YYYY-MM-DD] [--days N] > generated.log

The truth is written down while the line is made, not read back from it, so the generator also proves the oracle.
The same arguments give the same bytes.
"""
from __future__ import annotations

import argparse
import ipaddress
import random
import sys
from collections import Counter
from datetime import datetime, timezone
from functools import lru_cache
from typing import Callable, Iterator, NamedTuple

from oracle import Event

HALF_HOUR = 1800
UNSORTED_SECONDS = 900
DAMAGED = 0.03
OFFSETS = {"+0000": 0, "+0530": 19800, "-0800": -28800, "+1345": 49500, "-0330": -12600}
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
METHODS = ["GET"] * 17 + ["POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]
STATUSES = [200] * 24 + [204, 206, 301, 302, 304, 304, 400, 401, 403, 404, 404, 404, 410, 429, 500, 502, 503]
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 CriOS/120.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    r"Agent \"quoted\" \\ backslash \x1b and a \"lone quote of some length",
    "curl/8.4.0", "-", "",
]
REFERRERS = ["-", "", "https://news.example/item?id={secret}", "http://search.example/find?q={secret}&lang=en#{secret}",
             r"https://odd.example/a\"b?token={secret}", "http://user:{secret}@blog.example:8080/post", "not a url {secret}"]


class Line(NamedTuple):
    text: str                 # without the end of line
    event: Event | None       # None: damaged
    secrets: tuple[str, ...]  # query values, fragments, passwords: must never be stored or shown
    address: str              # as spelt in this line; a host name in a few
    agent: str                # as sent


def damages(random_: random.Random) -> list[Callable[[str], str]]:
    """Ways to break a good line so that no reader could save it."""
    def no_status(line: str) -> str:
        head, _, tail = line.rpartition('" ')[0].partition("] ")
        return head + "] " + tail.split('" ')[0] + '"'

    def replace_date(text: str) -> Callable[[str], str]:
        return lambda line: line[:line.index("[") + 1] + text + line[line.index("]"):]

    return [
        lambda line: line[:line.index("[") + random_.randint(1, 12)],              # cut inside the time
        lambda line: line[:line.index('"') + random_.randint(1, 4)],               # cut inside the request
        lambda line: line[:-1],                                                    # the last quote is missing
        no_status,
        lambda line: line.replace("] \"", "] ", 1),                                # the request is not quoted
        replace_date("30/Feb/2024:10:00:00 +0000"),
        replace_date("10/Feb/2024:25:00:00 +0000"),
        replace_date("10/Fxb/2024:10:00:00 +0000"),
        replace_date("yesterday"),
        lambda line: line.replace("[", "", 1).replace("]", "", 1),
        lambda line: "".join(random_.choice("#%&/()=?!~^") for _ in range(random_.randint(1, 90))),
    ]


class Addresses:
    """A pool of visitors; each can be spelt in several ways."""

    def __init__(self, random_: random.Random, count: int) -> None:
        self.random_ = random_
        v4 = ipaddress.ip_address("198.18.0.0")
        v6 = int(ipaddress.ip_address("2001:db8::"))
        self.pool_ = [str(v4 + 1 + number if random_.random() < 0.7 else
                          ipaddress.IPv6Address(v6 + random_.getrandbits(random_.choice([8, 16, 64, 90]))))
                      for number in range(count)]

    def pick(self) -> tuple[str, str]:
        """(spelling, canonical form); few visitors come often, many come rarely. Some logs name hosts: no visitor."""
        if self.random_.random() < 0.01:
            return f"host-{self.random_.randrange(9)}.example", ""
        address = self.pool_[int(len(self.pool_) * self.random_.random() ** 3)]
        return self.random_.choice(spellings(address)), address


@lru_cache(maxsize=None)
def spellings(address: str) -> list[str]:
    """All the ways in which a log could write one address (given in canonical form)."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        groups = f"{int(parsed) >> 16:x}:{int(parsed) & 0xffff:x}"
        return [address] * 6 + [f"::ffff:{address}", f"::FFFF:{groups}", f"0:0:0:0:0:ffff:{groups}"]
    short_groups = ":".join(f"{int(group, 16):x}" for group in parsed.exploded.split(":"))
    return [parsed.compressed, parsed.compressed.upper(), parsed.exploded, parsed.exploded.upper(), short_groups]


def clf_time(time: int, offset: str) -> str:
    local = datetime.fromtimestamp(time + OFFSETS[offset], timezone.utc)
    return f"{local.day:02}/{MONTHS[local.month - 1]}/{local:%Y:%H:%M:%S} {offset}"


def generate(seed: int, lines: int, first: str, days: int) -> Iterator[Line]:
    """`lines` lines of `days` UTC days from `first` on; every half-hour has at least one good line."""
    random_ = random.Random(seed)
    begin = int(datetime.strptime(first, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp())
    half_hours = days * 48
    if lines < half_hours:
        raise ValueError(f"{lines} lines do not fill the {half_hours} half-hours of {days} days")
    addresses = Addresses(random_, max(20, lines // 60))
    paths = [f"/page/{number}.html" for number in range(150)] + [f"/static/{number}.js" for number in range(40)] + \
            ["/", "/a%20b", "/caf%C3%A9", "/api/transfers/info", "/favicon.ico"]
    breakers = damages(random_)
    crowd: Counter[int] = Counter()

    # One at least in each half-hour; times are spread, the order in the file is off by up to a quarter of an hour.
    starts = list(range(half_hours)) + [random_.randrange(half_hours) for _ in range(lines - half_hours)]
    moments = [(number >= half_hours, begin + start * HALF_HOUR + random_.choice((0, 1799, random_.randrange(HALF_HOUR))))
               for number, start in enumerate(starts)]
    moments.sort(key=lambda moment: moment[1] + random_.uniform(0, UNSORTED_SECONDS))

    for may_break, time in moments:
        def secret() -> str:
            return f"S3cr3t{random_.getrandbits(48):012x}"

        secrets: list[str] = []

        def hide(template: str) -> str:
            while "{secret}" in template:
                secrets.append(secret())
                template = template.replace("{secret}", secrets[-1], 1)
            return template

        half_hour = time // HALF_HOUR
        draw = random_.random()
        if (half_hour // 48) % 5 == 2 and draw < 0.85:
            # A crowded day: 25 paths of this half-hour alone; "/steady" comes once and is in the top 20 of the day only.
            number = crowd[half_hour]
            crowd[half_hour] += 1
            path = "/steady" if number == 25 else f"/crowd/{half_hour}/{number % 25}"
        else:
            path = paths[int(len(paths) * random_.random() ** 2)]
        target = path
        if random_.random() < 0.25:
            target = hide(target + random_.choice(["?id={secret}", "?a={secret}&b={secret}", "?{secret}", "#{secret}",
                                                   "?x={secret}#{secret}"]))
        if random_.random() < 0.02:
            target = hide(random_.choice(["http://shop.example", "https://user:{secret}@shop.example:8443"])) + target
        method = random_.choice(METHODS)
        protocol = random_.choice([" HTTP/1.1"] * 20 + [" HTTP/1.0", " HTTP/2.0", "" if method == "GET" else " HTTP/1.1"])
        status = random_.choice(STATUSES)
        size = 0 if method == "HEAD" or status in (204, 304) else int(10 ** random_.uniform(1, 7))
        size_text = "-" if size == 0 and random_.random() < 0.7 else str(size)
        spelt, visitor = addresses.pick()
        agent = random_.choice(AGENTS)
        user = random_.choice(["-"] * 9 + ["alice"])
        text = (f'{spelt} - {user} [{clf_time(time, random_.choice(list(OFFSETS)))}] "{method} {target}{protocol}" '
                f'{status} {size_text} "{hide(random_.choice(REFERRERS))}" "{agent}"')
        event: Event | None = Event(time, visitor, method, path, status, size)
        if may_break and random_.random() < DAMAGED:
            text, event = random_.choice(breakers)(text), None
        yield Line(text, event, tuple(secrets), spelt, agent)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a combined access log that has every awkward thing in it.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=5_000)
    parser.add_argument("--first", default="2024-02-26", help="first UTC day")
    parser.add_argument("--days", type=int, default=7)
    wanted = parser.parse_args()
    for line in generate(wanted.seed, wanted.lines, wanted.first, wanted.days):
        sys.stdout.write(line.text + "\n")


if __name__ == "__main__":
    main()
