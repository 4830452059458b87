"""The working folders that an editor has sessions in, each with a store of its own."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from tether import Session
from tether.host import ConversationInfo, Store

__all__ = ("Projects",)


class Projects:
    """A store over those of working folders. To the host, a folder is an owner: its sessions are apart from others.

    Args:
        store: gives the store of a folder; None where nothing is kept.
    """

    def __init__(self, store: Callable[[Path], Store] | None) -> None:
        self._store = store
        self._folders: dict[str, Path] = {}
        self._stores: dict[str, Store] = {}
        self.owner(Path.cwd())

    @property
    def owners(self) -> Sequence[str]:
        """The owners that are known: this process's folder, and those that the editor has named."""
        return list(self._folders)

    def owner(self, folder: Path) -> str:
        """Name the owner that stands for a folder."""
        digest = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:24]
        self._folders[digest] = folder
        return digest

    def folder(self, owner: str) -> Path:
        """Give the folder that an owner stands for."""
        return self._folders[owner]

    async def open(self, id: str, owner: str, *, create: bool) -> Session | None:
        """Open a session; see `Store.open`."""
        return await self._of(owner).open(id, "", create=create)

    async def find(
        self, owner: str, *, search: str, limit: int, before: tuple[float, str] | None
    ) -> Sequence[ConversationInfo]:
        """List the sessions of a folder; see `Store.find`."""
        found = await self._of(owner).find("", search=search, limit=limit, before=before)
        return [evolve(info, owner=owner) for info in found]

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a session; see `Store.delete`."""
        return await self._of(owner).delete(id, "")

    def _of(self, owner: str) -> Store:
        if owner not in self._stores:
            assert self._store is not None
            self._stores[owner] = self._store(self._folders[owner])
        return self._stores[owner]
