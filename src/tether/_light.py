"""What is made for every piece of a reply, made cheaply.

A frozen attrs class takes six times as long to make as a frozen msgspec Struct, which the garbage collector need not
look at either. So the few classes of which there is one for each piece are Structs, and are attrs classes to whoever
asks: `attrs.fields`, `attrs.evolve` and `attrs.asdict` work on them as on all others.

No I/O.
"""

from typing import TypeVar

import attrs
import msgspec

__all__ = ("as_attrs",)

S = TypeVar("S", bound=msgspec.Struct)


def as_attrs(struct: type[S]) -> type[S]:
    """Have a Struct pass for an attrs class with the same fields."""
    fields = {
        one.name: attrs.field(
            type=one.type,
            default=attrs.NOTHING if one.default is msgspec.NODEFAULT else one.default,
        )
        for one in msgspec.structs.fields(struct)
    }
    alike = attrs.make_class(struct.__name__, fields)
    struct.__attrs_attrs__ = attrs.fields(alike)  # type: ignore[attr-defined]  # what attrs looks for
    return struct
