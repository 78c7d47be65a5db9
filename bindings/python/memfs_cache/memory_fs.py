# SPDX-License-Identifier: Apache-2.0
"""For code that was written for Memory-FS: any storage of this package under its interface.

    files = Storage_FS__Memfs_Cache(storage=Storage_Disk("./data"))

`pip install memfs_cache[memory-fs]`. The other way round is memfs_cache.Storage_Python.
"""
# Memory-FS looks at annotations while the program runs: they stay what they are.
import json
from typing import Any

from memory_fs.storage_fs.Storage_FS import Storage_FS  # type: ignore[import-untyped]
from osbot_utils.type_safe.primitives.domains.files.safe_str.Safe_Str__File__Path import (  # type: ignore[import-untyped]
    Safe_Str__File__Path,
)

from ._core import Storage


class Storage_FS__Memfs_Cache(Storage_FS):  # type: ignore[misc]
    """Behaves as Memory-FS's storage in memory does, on every backend. Paths that would leave the root are refused with
    Invalid_Argument; listings are sorted.

    storage  what the files lie in.
    prefix   of every path there, such as "cache/"; the code above sees nothing else.
    """

    storage: Storage
    prefix: str = ""

    def clear(self) -> bool:
        for path in self.files__paths():
            self.file__delete(path)
        return True

    def file__bytes(self, path: str) -> bytes | None:
        return self.storage.read(self._key(path))

    def file__delete(self, path: str) -> bool:
        return self.storage.delete(self._key(path))

    def file__exists(self, path: str) -> bool:
        return self.storage.exists(self._key(path))

    def file__json(self, path: str) -> Any:
        data = self.file__bytes(path)
        return json.loads(data) if data else None

    def file__save(self, path: str, data: bytes) -> bool:
        self.storage.write(self._key(path), data)
        return True

    def file__str(self, path: str) -> str | None:
        data = self.file__bytes(path)
        return data.decode() if data else None

    def files__paths(self) -> list[str]:
        return self.folder__files__all("")

    def folder__files(self, folder_path: str, return_full_path: bool = False) -> list[str]:
        """The files right in a folder, "" or "/" for the root."""
        folder = _folder(folder_path)
        names = [path[len(folder) :] for path in self.folder__files__all(folder)]
        return [folder + name if return_full_path else name for name in names if "/" not in name]

    def folder__files__all(self, parent_folder: str) -> list[str]:
        """Every file below a folder, at every depth."""
        return [key[len(self.prefix) :] for key in self.storage.files_list(self.prefix + _folder(parent_folder))]

    def folder__folders(self, parent_folder: str, return_full_path: bool = True) -> list[str]:
        """The folders right in a folder, "" or "/" for the root."""
        folder = _folder(parent_folder)
        below = [path[len(folder) :].split("/") for path in self.folder__files__all(folder)]
        names = {parts[0] for parts in below if len(parts) > 1}
        return [folder + name if return_full_path else name for name in sorted(names)]

    def _key(self, path: str) -> str:
        return self.prefix + _clean(path)


def _clean(path: str) -> str:
    """As Memory-FS cleans the paths of every call."""
    return str(Safe_Str__File__Path(path))


def _folder(folder: str) -> str:
    """The beginning of every path in a folder."""
    folder = _clean(folder).strip("/")
    return f"{folder}/" if folder else ""
