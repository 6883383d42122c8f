"""Multi-Instance GPU: into what a product can be divided.

A GPU instance has memory slices and compute slices of its own; compute instances share out its
compute slices, and its memory is theirs together. NVIDIA names a kind of GPU instance, a profile,
by compute slices and memory ("3g.40gb"), and a compute instance that has only some of the slices by
these, too ("1c.3g.40gb").

Sources: NVIDIA's MIG user guide (fractions, copy engines, names); `nvidia-smi mig -lgip` and
`-lgipp` as published for each product (memory, multiprocessors, placements).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .modes import Instance

__all__ = ["PRODUCTS", "Profile", "arrange", "profiles"]


class Profile:
    """A kind of GPU instance: `size` of the GPU's memory slices, from one of `starts` on.

    Attributes:
        name: "1g.10gb".
        slices: compute slices.
        memory: bytes.
        multiprocessors: of all compute slices together.
        engines: copy engines.
        most: so many can be there at once.
    """

    __slots__ = (
        *("engines", "memory", "most", "multiprocessors", "name", "size", "slices", "starts"),
    )

    def __init__(  # noqa: PLR0917  (a row of a table)
        self,
        name: str,
        mebibytes: int,
        multiprocessors: int,
        engines: int,
        size: int,
        starts: Sequence[int],
        most: int | None = None,
    ) -> None:
        self.name = name
        self.slices = int(name.partition("g")[0])
        self.memory = mebibytes << 20
        self.multiprocessors = multiprocessors
        self.engines = engines
        self.size = size
        self.starts = starts
        self.most = len(starts) if most is None else most

    def __repr__(self) -> str:
        return f"Profile({self.name!r})"


#: Where profiles of a size may start, of seven compute and eight memory slices.
ONE, TWO, TWO_WIDE, FOUR, WHOLE = range(7), (0, 2, 4), (0, 2, 4, 6), (0, 4), (0,)

#: The model and the memory in a catalogue's name ("a100-sxm4-80gb") -> its profiles, each with
#: memory in MiB, multiprocessors, copy engines, memory slices and where they may start.
PRODUCTS: dict[tuple[str, str], tuple[Profile, ...]] = {
    ("a30", ""): (
        Profile("1g.6gb", 5952, 14, 1, 1, range(4)),
        Profile("1g.6gb+me", 5952, 14, 1, 1, range(4), 1),
        Profile("2g.12gb", 11968, 28, 2, 2, (0, 2)),
        Profile("2g.12gb+me", 11968, 28, 2, 2, (0, 2), 1),
        Profile("4g.24gb", 24000, 56, 4, 4, WHOLE),
    ),
    ("a100", "40gb"): (
        Profile("1g.5gb", 4864, 14, 1, 1, ONE),
        Profile("1g.5gb+me", 4864, 14, 1, 1, ONE, 1),
        Profile("1g.10gb", 9856, 14, 1, 2, TWO_WIDE),
        Profile("2g.10gb", 9856, 28, 2, 2, TWO),
        Profile("3g.20gb", 19968, 42, 3, 4, FOUR),
        Profile("4g.20gb", 19968, 56, 4, 4, WHOLE),
        Profile("7g.40gb", 40192, 98, 7, 8, WHOLE),
    ),
    ("a100", "80gb"): (
        Profile("1g.10gb", 9728, 14, 1, 1, ONE),
        Profile("1g.10gb+me", 9728, 14, 1, 1, ONE, 1),
        Profile("1g.20gb", 19968, 14, 1, 2, TWO_WIDE),
        Profile("2g.20gb", 19968, 28, 2, 2, TWO),
        Profile("3g.40gb", 40192, 42, 3, 4, FOUR),
        Profile("4g.40gb", 40192, 56, 4, 4, WHOLE),
        Profile("7g.80gb", 80896, 98, 7, 8, WHOLE),
    ),
    ("h100", "80gb"): (
        Profile("1g.10gb", 9984, 16, 1, 1, ONE),
        Profile("1g.10gb+me", 9984, 16, 1, 1, ONE, 1),
        Profile("1g.20gb", 20096, 26, 1, 2, TWO_WIDE),
        Profile("2g.20gb", 20096, 32, 2, 2, TWO),
        Profile("3g.40gb", 40448, 60, 3, 4, FOUR),
        Profile("4g.40gb", 40448, 64, 4, 4, WHOLE),
        Profile("7g.80gb", 81152, 132, 8, 8, WHOLE),
    ),
    ("h200", "141gb"): (
        Profile("1g.18gb", 16384, 16, 1, 1, ONE),
        Profile("1g.18gb+me", 16384, 16, 1, 1, ONE, 1),
        Profile("1g.35gb", 33024, 26, 1, 2, TWO_WIDE),
        Profile("2g.35gb", 33024, 32, 2, 2, TWO),
        Profile("3g.71gb", 71168, 60, 3, 4, FOUR),
        Profile("4g.71gb", 71168, 64, 4, 4, WHOLE),
        Profile("7g.141gb", 143360, 132, 8, 8, WHOLE),
    ),
}


def profiles(product: str) -> dict[str, Profile]:
    """The profiles of a product of the catalogue, by name; none where there is no MIG."""
    parts = product.split("-")
    found = PRODUCTS.get((parts[0], parts[-1])) or PRODUCTS.get((parts[0], ""), ())
    return {profile.name: profile for profile in found}


def arrange(product: str, instances: Sequence[Instance]) -> list[tuple[Profile, int]]:
    """The profile of each instance, and the memory slice that it begins at.

    The largest are placed first, whatever the order they come in, each at its lowest free place
    that leaves room for the others. (The user guide has 3-2-1-1 on an A100, where only the second
    place of the 3 does.)

    Raises:
        ValueError: a profile that the product does not have, too many compute slices in one, or no
            room for all; the message says what there is.
    """
    known = profiles(product)
    for row in instances:
        if row.profile not in known:
            has = ", ".join(known) or "no MIG profiles"
            raise ValueError(f"no MIG profile {row.profile!r}: {product} has {has}")
        _check_slices(known[row.profile], row)
    chosen = [known[row.profile] for row in instances]
    for profile in known.values():
        if chosen.count(profile) > profile.most:
            raise ValueError(
                f"expected at most {profile.most} of {profile.name}, found {chosen.count(profile)}"
            )
    order = sorted(range(len(chosen)), key=lambda i: (-chosen[i].size, len(chosen[i].starts)))
    starts = _starts([chosen[index] for index in order], frozenset())
    if starts is None:
        names = ", ".join(profile.name for profile in chosen)
        slices = max(profile.size for profile in known.values())
        raise ValueError(
            f"no room for {names} together: they need more than {slices} slices of memory, "
            "or the same ones"
        )
    return [(profile, starts[order.index(place)]) for place, profile in enumerate(chosen)]


def _check_slices(profile: Profile, row: Instance) -> None:
    slices = row.compute_slices
    if slices is not None and (not slices or min(slices) < 1 or sum(slices) > profile.slices):
        raise ValueError(
            f"expected compute instances of 1 to {profile.slices} slices, {profile.slices} in all, "
            f"in a {profile.name}; found {slices}"
        )
    count = len(slices or (profile.slices,))
    if row.uuids is not None and len(row.uuids) != count:
        raise ValueError(f"expected a UUID for each of {count}, found {len(row.uuids)}")


def _starts(order: Sequence[Profile], taken: frozenset[int]) -> list[int] | None:
    """The first places for all that overlap neither with what is taken nor with each other."""
    if not order:
        return []
    for start in order[0].starts:
        span = frozenset(range(start, start + order[0].size))
        if not span & taken:
            others = _starts(order[1:], taken | span)
            if others is not None:
                return [start, *others]
    return None
