# SPDX-License-Identifier: Apache-2.0
"""Types are Title_Snake and concepts CamelCase; clang-tidy's own pattern lets CamelCase types through."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TYPE = re.compile(r"^\s*(?:template <.*> )?(?:class|struct|enum(?: class)?) (\w+)(?=\s*(?:final\s*)?(?:\{|:[^:]|$))", re.M)
CONCEPT = re.compile(r"^\s*concept (\w+)", re.M)
TITLE_SNAKE = re.compile(r"[A-Z]+[a-z0-9]*(_[A-Z0-9]+[a-z0-9]*)*")
CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*")


def misnamed(text: str) -> list[str]:
    types = [name for name in TYPE.findall(text) if not TITLE_SNAKE.fullmatch(name)]
    return types + [name for name in CONCEPT.findall(text) if not CAMEL_CASE.fullmatch(name)]


def test_types_and_concepts_are_named_by_the_rule():
    files = [path for top in ("include", "src", "examples") for path in (ROOT / top).rglob("*.[ch]pp")]
    assert len(files) > 10
    found = {path.name: names for path in files if (names := misnamed(path.read_text(encoding="utf-8")))}
    assert not found


@pytest.mark.parametrize("text", ["class CacheService {", "struct cache_id final {", "enum class errc {",
                                  "template <class T> class myThing {", "    concept Storage_Backend ="])
def test_a_wrong_name_is_seen(text):
    assert misnamed(text)


@pytest.mark.parametrize("text", ["class LETS_Aggregator {", "struct Utf8 : Base {", "enum class Errc {",
                                  "template <class StorageBackend>", "struct doctest::StringMaker<Errc> {",
                                  "concept StorageBackend =", "struct evp_md_st; // of a library"])
def test_a_right_name_passes(text):
    assert not misnamed(text)
