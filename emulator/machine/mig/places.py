"""Where GPU instances and compute instances are placed.

The driver places an instance where it takes the fewest places away from others, the first of these
if several do. That is what public outputs of `nvidia-smi mig -cgi` have in common: on an empty
A100 or H100 seven instances of one slice go to 6, 4, 5, 0, 1, 2, 3, three of two to 4, 0, 2, two of
three to 4, 0; after 3g the next 1g goes to 0; and of 1g, 1g, 2g, 3g, in this order, the last finds
no room, as the MIG user guide has it.
"""

from __future__ import annotations

from .profiles import compute_profiles, profiles, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..modes import Instance
    from .profiles import Profile

    Held = Sequence[tuple[Profile, int]]
    #: Start, slices and id of a compute instance.
    Share = tuple[int, int, int]

__all__ = ["arrange", "capacity", "number", "places", "share"]


def _span(size: int, start: int) -> int:
    """The slices as bits."""
    return ((1 << size) - 1) << start


def _taken(held: Held) -> int:
    return sum(_span(profile.size, start) for profile, start in held)


def _has_engines(known: dict[str, Profile], held: Held, profile: Profile) -> bool:
    """Whether multiprocessors and engines are left for one more, and it may be there at all."""
    kinds = [each for each, _ in held]
    if kinds.count(profile) >= profile.most:
        return False
    sums = map(sum, zip(*(each.resources for each in [*kinds, profile])))
    return all(some <= most for some, most in zip(sums, whole(known).resources))


def places(known: dict[str, Profile], held: Held, profile: Profile) -> list[int]:
    """Where one more instance can be placed beside those held, the driver's choice first."""
    if not _has_engines(known, held, profile):
        return []
    taken = _taken(held)
    free = [
        _span(each.size, start)
        for each in known.values()
        for start in each.starts
        if not _span(each.size, start) & taken
    ]
    slices = whole(known).slices

    def cost(start: int) -> tuple[bool, int, int]:
        """A 1g with the memory of two goes last where there is just one compute slice: such are
        placed at 4, 0, 2 in public outputs."""
        span = _span(profile.size, start)
        lone = profile.slices == 1 and start + profile.size > slices
        return lone, sum(1 for other in free if other & span), start

    fits = [start for start in profile.starts if not _span(profile.size, start) & taken]
    return sorted(fits, key=cost)


def capacity(known: dict[str, Profile], held: Held, profile: Profile) -> int:
    """How many more instances of a profile can be placed beside those held."""
    filled = list(held)
    while found := places(known, filled, profile):
        filled.append((profile, found[0]))
    return len(filled) - len(held)


def number(known: dict[str, Profile], profile: Profile, start: int) -> int:
    """The id of a GPU instance: 0 is the whole, 1 and 2 the halves, 3 to 6 the quarters."""
    return whole(known).size // profile.size - 1 + start // profile.size


def arrange(product: str, instances: Sequence[Instance]) -> list[tuple[Profile, int]]:
    """The profile of each instance, and the memory slice that it begins at.

    Those without a place of their own are placed as if they were created in their order, but so
    that all find room if they can.

    Raises:
        ValueError: a profile or a place that the product does not have, compute instances that do
            not fit in one, or no room for all; the message says what there is.
    """
    known = profiles(product)
    for row in instances:
        if row.profile not in known:
            has = ", ".join(known) or "no MIG profiles"
            raise ValueError(f"no MIG profile {row.profile!r}: {product} has {has}")
        profile = known[row.profile]
        share(known, profile, row)
        if row.start is not None and row.start not in profile.starts:
            starts = ", ".join(map(str, profile.starts))
            raise ValueError(f"expected {profile.name} to start at {starts}, found {row.start}")
    chosen = [known[row.profile] for row in instances]
    for profile in known.values():
        if chosen.count(profile) > profile.most:
            raise ValueError(
                f"expected at most {profile.most} of {profile.name}, found {chosen.count(profile)}"
            )
    fixed = [(known[row.profile], row.start) for row in instances if row.start is not None]
    loose = [known[row.profile] for row in instances if row.start is None]
    found = _placed(known, fixed, loose) if _fits(known, fixed, chosen) else None
    if found is None:
        names = ", ".join(profile.name for profile in chosen)
        raise ValueError(
            f"no room for {names} together: they need more than {whole(known).size} slices of "
            "memory, the same ones, or more engines than there are"
        )
    rest = iter(found)
    starts_of = [next(rest) if row.start is None else row.start for row in instances]
    _check_ids(known, instances, list(zip(chosen, starts_of)))
    return list(zip(chosen, starts_of))


def _fits(known: dict[str, Profile], fixed: Held, chosen: Sequence[Profile]) -> bool:
    """Whether all together are no more than there is, and those with a place do not overlap."""
    if not chosen:
        return True
    overlap = bin(_taken(fixed)).count("1") < sum(profile.size for profile, _ in fixed)
    most, sums = whole(known), map(sum, zip(*(profile.resources for profile in chosen)))
    enough = all(some <= there for some, there in zip(sums, most.resources))
    return enough and not overlap and sum(profile.size for profile in chosen) <= most.size


def _placed(known: dict[str, Profile], held: Held, loose: Sequence[Profile]) -> list[int] | None:
    """Places for all, the driver's choice for each as far as the others then find room."""
    if not loose:
        return []
    for start in places(known, held, loose[0]):
        others = _placed(known, [*held, (loose[0], start)], loose[1:])
        if others is not None:
            return [start, *others]
    return None


def _check_ids(known: dict[str, Profile], instances: Sequence[Instance], held: Held) -> None:
    ids = [
        number(known, profile, start) if row.id is None else row.id
        for row, (profile, start) in zip(instances, held)
    ]
    again = [each for each in ids if ids.count(each) > 1]
    if again:
        raise ValueError(f"expected ids of their own, found {again[0]} again")


def share(known: dict[str, Profile], profile: Profile, row: Instance) -> list[Share]:
    """The compute instances in a GPU instance: start, slices and id of each, in their order.

    Raises:
        ValueError: they do not fit in it; the message says what does.
    """
    if row.compute is None:
        return [(0, profile.slices, 0)]
    sizes = [each.slices for each in compute_profiles(known, profile)]
    wanted = [profile.slices if each.slices is None else each.slices for each in row.compute]
    if sum(wanted) > profile.slices or not set(wanted) <= set(sizes):
        kinds = ", ".join(map(str, sizes))
        raise ValueError(
            f"expected compute instances of {kinds} slices, {profile.slices} in all, "
            f"in a {profile.name}; found {wanted}"
        )
    taken = _fixed_shares(profile, row, wanted)
    ids = [each.id for each in row.compute if each.id is not None]
    found = []
    for each, size in zip(row.compute, wanted):
        start = each.start
        if start is None:
            start = _gap(taken, size, profile.slices)
            taken |= _span(size, start)
        identity = each.id
        if identity is None:
            identity = next(free for free in range(len(wanted)) if free not in ids)
            ids.append(identity)
        found.append((start, size, identity))
    if len({identity for *_, identity in found}) < len(found):
        raise ValueError(f"expected ids of their own for compute instances, found {ids}")
    return found


def _fixed_shares(profile: Profile, row: Instance, wanted: Sequence[int]) -> int:
    taken = 0
    for each, size in zip(row.compute or (), wanted):
        if each.start is not None:
            span = _span(size, each.start)
            if each.start < 0 or each.start + size > profile.slices or span & taken:
                raise ValueError(
                    f"expected compute instances side by side in the {profile.slices} slices of a "
                    f"{profile.name}, found one of {size} from {each.start} on"
                )
            taken |= span
    return taken


def _gap(taken: int, size: int, slices: int) -> int:
    """The first free compute slices that are so many in a row."""
    for start in range(slices - size + 1):
        if not _span(size, start) & taken:
            return start
    raise ValueError(f"no {size} compute slices in a row are left of {slices}")
