# SPDX-License-Identifier: Apache-2.0
"""The Python cache service and ours on one folder and on one bucket, while both run: each answers from what the other stored."""
from __future__ import annotations

import subprocess
import threading
import zipfile
from typing import Any

import pytest
import requests
from servers import AT_MOST_SECONDS, ROOT, WITH_KEY, ours

STRATEGIES = ["direct", "temporal", "temporal_latest", "temporal_versioned", "key_based"]
BYTES = {**WITH_KEY, "Content-Type": "application/octet-stream"}


def ask(method: str, url: str, **more: Any) -> requests.Response:
    response = requests.request(method, url, timeout=AT_MOST_SECONDS, **{"headers": WITH_KEY, **more})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("writer", [0, 1], ids=["ours writes", "theirs writes"])
def test_a_document_and_bytes_are_read_updated_and_deleted_from_the_other_side(both, strategy, writer):
    one, other = both[writer], both[1 - writer]
    document = {"by": writer, "of": strategy, "n": [1, 2.5, None]}
    stored = ask("POST", f"{one}/shared/{strategy}/store/json/a/b", json=document).json()
    raw = ask("POST", f"{one}/shared/{strategy}/store/binary/a/b", data=b"\x00\xff" + strategy.encode(), headers=BYTES).json()
    address = f"{other}/shared/retrieve/{stored['cache_id']}"
    assert ask("GET", f"{address}/json").json() == document
    assert ask("GET", f"{other}/shared/retrieve/hash/{stored['cache_hash']}/json").json() == document
    assert ask("GET", f"{other}/shared/retrieve/{raw['cache_id']}/binary").content == b"\x00\xff" + strategy.encode()
    for tail in ("", "/config", "/metadata", "/refs", "/refs/all"):  # the same answers, from the same files
        assert ask("GET", address + tail).json() == ask("GET", address.replace(other, one) + tail).json()
    ask("POST", f"{other}/shared/update/{stored['cache_id']}/json", json={"new": 1})
    assert ask("GET", f"{one}/shared/retrieve/{stored['cache_id']}/json").json() == {"new": 1}
    ask("POST", f"{one}/shared/cache/{stored['cache_id']}/data/store/json/k/child", json=document)
    assert ask("GET", f"{other}/shared/cache/{stored['cache_id']}/data/json/k/child").json() == document
    assert ask("DELETE", f"{other}/shared/delete/{stored['cache_id']}").json()["status"] == "success"
    assert ask("GET", f"{one}/shared/exists/id/{stored['cache_id']}").json()["exists"] is False


def test_both_store_at_once_and_every_entry_is_read_from_both(both):
    made: list[tuple[str, dict[str, int]]] = []

    def store(url: str, start: int) -> None:
        for number in range(start, start + 20):
            value = {"number": number}
            made.append((ask("POST", f"{url}/busy/direct/store/json", json=value).json()["cache_id"], value))

    threads = [threading.Thread(target=store, args=(url, 100 * i), daemon=True) for i, url in enumerate(both)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(AT_MOST_SECONDS)
        assert not thread.is_alive()
    assert len(made) == 40
    for cache_id, value in made:
        for url in both:
            assert ask("GET", f"{url}/busy/retrieve/{cache_id}/json").json() == value


def test_what_their_zip_provider_wrote_is_moved_in_and_out(tmp_path):
    from memory_fs.storage_fs.providers.Storage_FS__Zip import Storage_FS__Zip

    archive = tmp_path / "theirs.zip"
    files = Storage_FS__Zip(zip_path=str(archive), in_memory=False).setup()
    files.file__save("ns/data/direct/aa/bb/x.json", b'{"a": 1}')
    command = str(ROOT / "build" / "release" / "memfs-cache")

    def move(source: str, target: str) -> None:
        subprocess.run([command, "export", "--storage", source, "--to", target], check=True, timeout=AT_MOST_SECONDS)

    move(f"zip:{archive}", f"disk:{tmp_path / 'store'}")
    with ours(f"disk:{tmp_path / 'store'}") as url:
        assert ask("GET", f"{url}/admin/storage/file/json/ns/data/direct/aa/bb/x.json").json() == {"a": 1}
    move(f"disk:{tmp_path / 'store'}", f"zip:{tmp_path / 'ours.zip'}")
    with zipfile.ZipFile(tmp_path / "ours.zip") as read:
        assert read.namelist() == ["ns/data/direct/aa/bb/x.json"] and read.read(read.namelist()[0]) == b'{"a": 1}'
    again = Storage_FS__Zip(zip_path=str(tmp_path / "ours.zip"), in_memory=False).setup()
    assert again.file__bytes("ns/data/direct/aa/bb/x.json") == b'{"a": 1}'
