"""The pools of this process: which there are, and which one memory of a place is taken from."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..streams.schedule import Schedule
from .backing import POOL, File
from .location import PINNED
from .pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..library import Cuda
    from .location import Location

__all__ = ["Pools"]


class Pools:
    """The pools of this process: each place's default and current one, and those made."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._default: dict[tuple[int, int, int], Pool] = {}
        self._current: dict[tuple[int, int, int], Pool] = {}
        self._all: dict[Pool, None] = {}
        cuda.part(Schedule).after_waiting.append(self.settle)

    def default(self, location: Location, kind: int = PINNED) -> Pool:
        """The pool that a place has from the beginning."""
        place = (kind, location.type, location.id)
        with self._cuda.lock:
            if place not in self._default:
                made = Pool(self._cuda, location.device, location=location, kind=kind)
                self._default[place] = self.add(made)
            return self._default[place]

    def current(self, location: Location, kind: int = PINNED) -> Pool:
        """The pool that memory of a place is taken from."""
        return self._current.get((kind, location.type, location.id)) or self.default(location, kind)

    def choose(self, pool: Pool) -> None:
        """Let memory of a pool's place be taken from it."""
        self._current[pool.place] = pool

    def make(self, location: Location, kind: int, handle_types: int, max_size: int) -> Pool:
        """A new pool; OUT_OF_MEMORY where the system has no descriptor for it."""
        device, file = location.device, None
        if handle_types:
            try:
                file = File(POOL, device.uuid if device is not None else "")
            except OSError:
                raise CudaError(status.OUT_OF_MEMORY) from None
        return self.add(
            Pool(
                self._cuda,
                device,
                location=location,
                kind=kind,
                handle_types=handle_types,
                max_size=max_size,
                file=file,
            )
        )

    def add(self, pool: Pool) -> Pool:
        """Take in a pool."""
        self._all[pool] = None
        return pool

    def destroy(self, pool: Pool) -> None:
        """Destroy a pool, which cannot be a default one; INVALID_VALUE."""
        if pool in self._default.values():
            raise CudaError(status.INVALID_VALUE)
        if self._current.get(pool.place) is pool:
            del self._current[pool.place]
        self._cuda.handles("CUmemoryPool").drop(pool)
        pool.destroy()
        if pool.gone:
            self._all.pop(pool, None)

    def settle(self) -> None:
        """A stream, an event or a context was waited for."""
        for pool in list(self._all):
            pool.settle()
            if pool.gone:
                self._all.pop(pool, None)

    def end(self) -> None:
        """Another scenario begins."""
        for pool in list(self._all):
            pool.end()
