# SPDX-License-Identifier: Apache-2.0
"""Hashes equal those of the Python reference: its recorded cases, and the reference itself where it is installed."""
from __future__ import annotations

import doctest
import hashlib
import json
import uuid

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from osbot_utils.helpers.cache.Cache__Hash__Generator import Cache__Hash__Generator
from osbot_utils.type_safe.primitives.domains.identifiers.safe_str.Safe_Str__Json__Field_Path import (
    Safe_Str__Json__Field_Path,
)

from memfs_cache import Cache_Hash, Cache_Id, Invalid_Argument

CASES = json.loads((ROOT / "tests" / "vectors" / "cache_hash.json").read_text(encoding="utf-8"))["cases"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4),
    max_leaves=20)


def run(case: dict) -> str:
    hashes = Cache_Hash(case["config"]["algorithm"], case["config"]["length"])
    operation = case["op"]
    if operation == "from_bytes":
        return hashes.from_bytes(bytes.fromhex(case["input_hex"]))
    if operation == "from_string":
        points = case.get("input_code_points")
        return hashes.from_string(case["input"] if points is None else "".join(map(chr, points)))
    value = json.loads(case["input_json"])
    if operation == "from_json":
        return hashes.from_json(value, case.get("exclude"))
    return hashes.from_json_field(value, case["field"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_every_case_of_the_reference(case):
    if "expected_error" in case:
        with pytest.raises(Invalid_Argument, match=r"\w"):
            run(case)
    else:
        assert run(case) == case["expected"]


@given(st.text(min_size=1), st.sampled_from(["md5", "sha256", "sha384"]), st.integers(10, 96))
def test_a_text_hashes_as_hashlib_does(text, algorithm, length):
    assert Cache_Hash(algorithm, length).from_string(text) == hashlib.new(algorithm, text.encode()).hexdigest()[:length]


@given(st.binary(max_size=40_000))
def test_bytes_hash_alike_from_every_kind_of_buffer(data):
    expected = hashlib.sha256(data).hexdigest()[:16]
    hashes = Cache_Hash()
    assert {hashes.from_bytes(kind(data)) for kind in (bytes, bytearray, memoryview)} == {expected}


@given(json_values)
def test_a_document_hashes_as_its_json_text_does(value):
    text = json.dumps(value, sort_keys=True)
    assert Cache_Hash().from_json(value) == hashlib.sha256(text.encode()).hexdigest()[:16]


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=5), st.data())
def test_excluded_fields_are_as_if_they_were_not_there(value, data):
    names = data.draw(st.lists(st.sampled_from(sorted(value))))
    rest = {name: member for name, member in value.items() if name not in names}
    assert Cache_Hash().from_json(value, names) == Cache_Hash().from_json(rest)


def outcome(call, *arguments):
    """The hash as text, or that it was refused."""
    try:
        return str(call(*arguments))
    except ValueError:
        return "refused"


@given(st.text(st.characters(codec=None)) | json_values, st.text("a.b_ é", max_size=6))
def test_the_python_reference_agrees_on_everything(value, field_path):
    ours, reference = Cache_Hash(), Cache__Hash__Generator()
    assert outcome(ours.from_json, value) == outcome(reference.from_json, value)
    if isinstance(value, str):
        assert outcome(ours.from_string, value) == outcome(reference.from_string, value)
    if isinstance(value, dict):
        for path in {field_path, *value}:
            assert outcome(ours.from_json_field, value, path) == outcome(
                lambda: reference.from_json_field(value, Safe_Str__Json__Field_Path(path)))


@pytest.mark.parametrize("value", [object(), {1, 2}, {1: "a"}, b"bytes", {"a": object()}, 1j])
def test_what_is_no_json_is_a_type_error(value):
    with pytest.raises(TypeError, match="JSON|str"):
        Cache_Hash().from_json(value)


def test_a_value_that_holds_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(Invalid_Argument, match="nested"):
        Cache_Hash().from_json(endless)


def test_an_integer_beyond_python_s_own_limit_is_refused():
    with pytest.raises(Invalid_Argument, match="digits"):
        Cache_Hash().from_json(10**5000)
    assert Cache_Hash().from_json(10**4000) == hashlib.sha256(str(10**4000).encode()).hexdigest()[:16]


def test_ids_are_random_uuids_in_small_letters():
    ids = {Cache_Id.new() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 for text in ids)


def test_the_example_in_the_docstring_is_true():
    example = doctest.DocTestParser().get_doctest(Cache_Hash.__doc__ or "", {"Cache_Hash": Cache_Hash}, "Cache_Hash", None, 0)
    assert example.examples and doctest.DocTestRunner().run(example).failed == 0
