"""Multi-Instance GPU: the kinds of instances that a product can be divided into.

A GPU instance has memory slices and compute slices of its own; compute instances share out its
compute slices, and its memory is theirs together. NVIDIA names a kind of GPU instance, a profile,
by compute slices and memory ("3g.40gb"), and a compute instance that has only some of the slices by
these, too ("1c.3g.40gb"). `products` has each product's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ComputeProfile", "Profile", "compute_profiles", "profiles", "whole"]

#: Compute slices of a compute instance -> number and id of its profile; the same in nvml.h and on
#: all products.
COMPUTE_NUMBERS = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4}

#: Number and id of the profile of the compute instance in a GPU instance of one compute slice that
#: has the memory of two: "profile MIG 1g.24gb (ID  7)" in public outputs of `nvidia-smi mig -cgi 15
#: -C`. nvml.h calls it 1_SLICE_REV1.
WIDE_NUMBER = 7


class Profile:
    """A kind of GPU instance: `size` of the GPU's memory slices, from one of `starts` on.

    Attributes:
        name: "1g.10gb".
        number: nvml.h's number of it, NVML_GPU_INSTANCE_PROFILE_*.
        id: of the profile, as `nvidia-smi mig -lgip` prints it and NVML takes it.
        since: release branch of the first driver that has it.
        slices: compute slices.
        memory: bytes.
        multiprocessors: of all compute slices together.
        copies, decoders, encoders, jpegs, ofas: engines of these kinds.
        most: so many can be there at once.
    """

    __slots__ = (
        *("copies", "decoders", "encoders", "id", "jpegs", "memory", "most", "multiprocessors"),
        *("name", "number", "ofas", "since", "size", "slices", "starts"),
    )

    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int, Sequence[int], int],
        mebibytes: int,
        multiprocessors: int,
        engines: Sequence[int],
    ) -> None:
        """`shape` is number, id, size, starts and since; `engines` are copies, decoders, encoders,
        jpegs and ofas."""
        self.name = name
        self.number, self.id, self.size, self.starts, self.since = shape
        self.slices = int(name.partition("g")[0])
        self.memory = mebibytes << 20
        self.multiprocessors = multiprocessors
        self.copies, self.decoders, self.encoders, self.jpegs, self.ofas = engines
        self.most = 1 if "+me" in name else len(self.starts)

    @property
    def resources(self) -> tuple[int, ...]:
        """What instances share out beside the slices: multiprocessors and engines."""
        engines = self.copies, self.decoders, self.encoders, self.jpegs, self.ofas
        return self.multiprocessors, *engines

    @property
    def graphics(self) -> bool:
        """Whether graphics APIs work in it."""
        return "+gfx" in self.name

    def __repr__(self) -> str:
        return f"Profile({self.name!r})"


class ComputeProfile:
    """A kind of compute instance in a GPU instance of one profile.

    Attributes:
        name: "1c.3g.40gb", or "3g.40gb" for one that has all compute slices.
        number: nvml.h's number of it and its id, which are the same.
        slices: compute slices; they may begin at each of `starts`.
        most: so many can be there at once.
    """

    __slots__ = ("most", "multiprocessors", "name", "number", "slices", "starts")

    def __init__(self, of: Profile, slices: int, multiprocessors: int) -> None:
        self.name = of.name if slices == of.slices else f"{slices}c.{of.name}"
        wide = of.slices == 1 and of.size > 1
        self.number = WIDE_NUMBER if wide else COMPUTE_NUMBERS[slices]
        self.slices = slices
        self.starts = range(of.slices - slices + 1)
        self.most = of.slices // slices
        self.multiprocessors = multiprocessors

    def span(self, start: int) -> range:
        """The compute slices of one that begins at a slice."""
        return range(start, start + self.slices)

    def __repr__(self) -> str:
        return f"ComputeProfile({self.name!r})"


def profiles(product: str) -> dict[str, Profile]:
    """The profiles of a product of the catalogue, by name; none where there is no MIG."""
    from .products import PRODUCTS

    words = frozenset(product.split("-"))
    found = [key for key in PRODUCTS if words.issuperset(key.split())]
    rows = PRODUCTS[max(found, key=len)] if found else ()
    return {profile.name: profile for profile in rows}


def whole(known: dict[str, Profile]) -> Profile:
    """The profile that has the whole GPU."""
    return max(known.values(), key=lambda profile: (profile.size, profile.slices))


def compute_profiles(known: dict[str, Profile], of: Profile) -> list[ComputeProfile]:
    """The kinds of compute instances in a GPU instance, the smallest first.

    The multiprocessors of one that does not have them all are those of so many of the smallest.
    """
    each = min(profile.multiprocessors for profile in known.values())
    sizes = [size for size in COMPUTE_NUMBERS if size < of.slices and (size < 3 or of.slices == 7)]
    some = [ComputeProfile(of, size, size * each) for size in sizes]
    return [*some, ComputeProfile(of, of.slices, of.multiprocessors)]
