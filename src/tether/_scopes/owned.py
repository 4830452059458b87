"""What has one owner: a copy of it would be a second one of the same log, scope or place in a stream."""

from typing import ClassVar, NoReturn

__all__ = ("Owned",)


class Owned:
    """A class whose instances cannot be copied or pickled, be it as a part of something else."""

    __slots__ = ()

    _INSTEAD: ClassVar[str] = ""
    """What to write in place of a copy, for the error."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse: `copy.copy`, `copy.deepcopy` and `pickle` all ask here."""
        raise TypeError(
            f"cannot copy or pickle a {type(self).__name__}: it has one owner{self._INSTEAD}"
        )
