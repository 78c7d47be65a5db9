# SPDX-License-Identifier: Apache-2.0
"""Tokens through the bindings."""
from __future__ import annotations

import threading

import pytest
from conftest import NOON

from memfs_cache import Already_Exists, Cache_Service, Invalid_Argument, Not_Found, Storage_Disk


def test_uses_of_a_token_with_blocks_are_leased_and_go_back(cache, clock):
    tokens = cache.tokens
    assert tokens.create("hot", 1000, block_size=100).usage_count == 0
    assert tokens.use("hot").remaining == 999
    leased = tokens.lookup("hot")
    assert leased is not None and (leased.usage_count, leased.usage_count_min) in [(100, 0), (1, 1)]  # after a second
    assert len(tokens.events("hot")[0].lease) == 14
    assert tokens.aggregation("hot", "daily", "2026-02-14").charged == 0
    assert cache.create_token("warm", 1, block_size=1).remaining == 1
    with pytest.raises(Invalid_Argument):
        tokens.create("cold", 1, block_size=-1)


def test_a_token_lives_through_all_its_states(cache, clock):
    tokens = cache.tokens
    token = tokens.create("Community-X", 2, created_by="ann", expires_at=NOON + 1000, metadata={"plan": ["free", 1]})
    assert (token.token_name, token.remaining, token.status) == ("community-x", 2, "active")
    assert (token.created_by, token.created_at, token.metadata) == ("ann", NOON, {"plan": ["free", 1]})
    with pytest.raises(Already_Exists):
        tokens.create("community-x", 5)
    assert tokens.use("community-x", ip_hash="ab12", action="download", action_id="once").usage_count == 1
    assert tokens.use("community-x", action_id="once").usage_count == 1
    assert tokens.use("community-x").remaining == 0
    assert tokens.use("community-x").rejection_reason == "exhausted"
    assert tokens.set_limit("community-x", 5).remaining == 3
    assert tokens.revoke("community-x").status == "revoked"
    assert tokens.use("community-x").rejection_reason == "revoked"
    assert tokens.reactivate("community-x", 9).status == "active"
    assert tokens.check("community-x").success and tokens.check("community-x").usage_count == 2
    clock.advance(1000)
    assert tokens.use("community-x").rejection_reason == "expired"
    assert tokens.use("nobody").rejection_reason == "not_found"
    found = tokens.lookup("community-x")
    assert found is not None and (found.status, found.last_used_at) == ("expired", NOON)
    assert [event.rejection_reason for event in tokens.events("community-x")] == ["expired", "revoked", "exhausted", "", ""]
    figures = tokens.aggregation("community-x", "daily", "2026-02-14")
    assert (figures.accepted, figures.exhausted, figures.revoked, figures.expired) == (2, 1, 1, 1)
    assert [token.token_name for token in tokens.list()] == ["community-x"]
    with pytest.raises(Not_Found):
        tokens.events("nobody")
    with pytest.raises(Invalid_Argument):
        tokens.reactivate("community-x", 1)


def test_no_limit_is_no_limit(cache):
    cache.create_token("open", 0)
    assert [cache.use_token("open").remaining for _ in range(3)] == [None] * 3
    assert cache.revoke_token("open").usage_count == 3
    assert [token.status for token in cache.list_tokens()] == ["revoked"]


def test_threads_of_two_services_use_a_limit_exactly_up(tmp_path):
    services = [Cache_Service(Storage_Disk(tmp_path)) for _ in range(2)]
    services[0].tokens.create("hot", 50)
    granted: list[bool] = []

    def spend(cache: Cache_Service) -> None:
        for _ in range(20):
            granted.append(cache.tokens.use("hot").success)

    threads = [threading.Thread(target=spend, args=(services[number % 2],), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert (len(granted), sum(granted)) == (80, 50)
    token = services[1].tokens.lookup("hot")
    assert token is not None and token.usage_count == 50
