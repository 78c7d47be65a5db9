# SPDX-License-Identifier: Apache-2.0
"""The arrows between the layers, read from the #include lines: a file includes its own layer or one below."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Lowest first; layers of one line do not know each other.
LAYERS = [
    ["core"],
    ["net"],
    ["storage"],
    ["events", "entries"],
    ["lets"],
    ["namespaces"],
    ["service"],
    ["http"],
    ["server"],
    ["cli"],
]
RANK = {layer: rank for rank, layers in enumerate(LAYERS) for layer in layers}
VIEWS = {"transfers": "analytics"}  # namespaces without a log: what they keep is made from that of another one
FREE = "memfs_cache/version.hpp"  # two constants that anybody may show
UMBRELLA = "memfs_cache/memfs_cache.hpp"  # for users: it includes, nothing of ours includes it

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
SOURCES_ONLY = re.compile(r"^(openssl/|zlib\.h|zstd\.h|zip\.h|sqlite3|sys/|unistd\.h|fcntl\.h)")
SOCKETS = re.compile(r"^boost/(beast|asio)\b")


def tree() -> dict[str, str]:
    """Every file of the library, by its path from the root."""
    files = [path for top in ("include", "src") for path in (ROOT / top).rglob("*") if path.suffix in (".hpp", ".cpp")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(files)}


def layer_of(path: str) -> str:
    """`include/memfs_cache/core/x.hpp`, `memfs_cache/core/x.hpp` and `src/core/x.cpp` are all of layer core."""
    parts = path.removeprefix("include/").split("/")
    return parts[1] if len(parts) > 2 else ""


def handler_of(path: str) -> str:
    """`tokens` for `namespaces/tokens.hpp`, all below `namespaces/tokens/` and `src/namespaces/tokens_*.cpp`; else ""."""
    parts = path.removeprefix("include/").split("/")
    return Path(parts[2]).stem.split("_")[0] if len(parts) > 2 and parts[1] == "namespaces" else ""


def complaint(path: str, included: str) -> str:
    """What is wrong with this file including that one; "" if nothing is."""
    public = path.startswith("include/")
    layer = layer_of(path)
    if public and SOURCES_ONLY.match(included):
        return "belongs in src: users would need its package or its system"
    if SOCKETS.match(included) and (public or layer not in ("server", "net")):
        return "sockets live in src/server and src/net"
    if included.startswith(".."):
        return "name the layer, not the way to it"
    if public and not included.startswith("memfs_cache/") and (ROOT / "src" / included).is_file():
        return "a public header includes a private one"
    if not included.startswith("memfs_cache/") and not (ROOT / "src" / included).is_file():
        return ""  # the standard library, a package, or a neighbour in the same folder
    target = included if included.startswith("memfs_cache/") else f"src/{included}"
    if target == FREE or path == f"include/{UMBRELLA}":
        return ""
    if target == UMBRELLA:
        return "include what is used: the umbrella is for users"
    if layer_of(target) not in RANK:
        return f"unknown layer {layer_of(target)!r}: add it to LAYERS here and to ARCHITECTURE.md"
    if RANK[layer] < RANK[layer_of(target)]:
        return f"an arrow up: {layer} may not know {layer_of(target)}"
    if RANK[layer] == RANK[layer_of(target)] and layer != layer_of(target):
        return f"{layer} and {layer_of(target)} do not know each other"
    mine, other = handler_of(path), handler_of(target)
    if mine and other and other not in (mine, "handler", VIEWS.get(mine)):
        return f"{mine} includes {other}: what two namespaces need moves down"
    return ""


def complaints(files: dict[str, str]) -> list[str]:
    return [
        f"{path} includes {included}: {problem}"
        for path, text in files.items()
        for included in INCLUDE.findall(text)
        if (problem := complaint(path, included))
    ]


def test_the_tree_has_only_known_layers():
    unknown = {layer_of(path) for path in tree()} - set(RANK) - {""}
    assert not unknown


def test_every_arrow_points_down():
    files = tree()
    assert len(files) > 10  # the walk found the library
    assert not complaints(files)


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("include/memfs_cache/core/a.hpp", "memfs_cache/storage/concept.hpp"),
        ("include/memfs_cache/events/a.hpp", "memfs_cache/entries/entry.hpp"),
        ("include/memfs_cache/lets/a.hpp", "memfs_cache/namespaces/analytics.hpp"),
        ("include/memfs_cache/namespaces/tokens.hpp", "memfs_cache/namespaces/analytics.hpp"),
        ("include/memfs_cache/namespaces/tokens.hpp", "memfs_cache/namespaces/analytics/event.hpp"),
        ("include/memfs_cache/namespaces/analytics.hpp", "memfs_cache/namespaces/transfers/transfer_event.hpp"),
        ("include/memfs_cache/namespaces/transfers.hpp", "memfs_cache/namespaces/tokens.hpp"),
        ("include/memfs_cache/core/a.hpp", "core/error.cpp"),
        ("include/memfs_cache/core/a.hpp", "openssl/evp.h"),
        ("include/memfs_cache/server/a.hpp", "boost/asio/io_context.hpp"),
        ("src/http/router.cpp", "boost/beast/http.hpp"),
        ("src/storage/disk.cpp", "memfs_cache/memfs_cache.hpp"),
        ("src/storage/disk.cpp", "memfs_cache/unheard_of/a.hpp"),
        ("src/storage/disk.cpp", "../http/openapi.hpp"),
        ("src/namespaces/tokens_blocks.cpp", "memfs_cache/namespaces/analytics/event.hpp"),
    ],
)
def test_a_forbidden_include_is_seen(path, included):
    assert complaints({path: f'#include "{included}"\n'})


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("include/memfs_cache/namespaces/analytics.hpp", "memfs_cache/namespaces/analytics/request_view.hpp"),
        ("include/memfs_cache/namespaces/analytics.hpp", "memfs_cache/namespaces/handler.hpp"),
        ("include/memfs_cache/namespaces/transfers.hpp", "memfs_cache/namespaces/analytics.hpp"),
        ("include/memfs_cache/core/a.hpp", "memfs_cache/version.hpp"),
        ("include/memfs_cache/memfs_cache.hpp", "memfs_cache/service/cache_service.hpp"),
        ("src/server/session.cpp", "boost/beast/http.hpp"),
        ("src/namespaces/analytics_access_log.cpp", "memfs_cache/namespaces/analytics/access_log.hpp"),
        ("src/core/cache_hash.cpp", "openssl/evp.h"),
        ("src/cli/main.cpp", "memfs_cache/server/server.hpp"),
    ],
)
def test_an_allowed_include_passes(path, included):
    assert not complaints({path: f"#include <{included}>\n"})
