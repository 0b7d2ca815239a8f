"""Images of apps: those that this worker pulled are removed when they take too much room."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import outcome
import structlog
import trio
from attrs import define, field
from docker.errors import NotFound

from iexec_worker.engine.images.inventory import Entry
from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.errors import Declined, EngineRefused, Rejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

    from docker import APIClient

    from iexec_worker.engine.images.inventory import Inventory
    from iexec_worker.engine.images.local import Found, Images
    from iexec_worker.engine.images.progress import PullProgress

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


#: Seconds between two looks at the room while an image arrives.
LOOK: Final = 5.0


@define(eq=False)
class ImageCache:
    """
    Pulls apps' *images* and remembers in *inventory* which of them were not here before.

    Only those are ever removed: the ones that were not used for longest, from *high* bytes on down
    to *low*, and as many as *trouble* asks for, which says why the disk is too full. What comes
    from the registry *spared* is of the worker itself.
    """

    images: Images
    inventory: Inventory
    high: int
    low: int
    spared: str
    trouble: Callable[[], Awaitable[str]]
    now: Callable[[], float]
    _held: Counter[str] = field(init=False, factory=Counter)
    #: Images that the worker itself needs, however they came here.
    _own: set[str] = field(init=False, factory=set)
    #: Held while an image is removed, and while a pull announces itself.
    _lock: trio.Lock = field(init=False, factory=trio.Lock)

    async def find(self, image: str) -> str | None:
        """Return the id of *image* if the engine has it."""
        return await self.images.find(image)

    async def spare(self, image: str) -> None:
        """Never remove *image* from now on, though an app may have the same. Raises `Rejected`."""
        name = str(parse_reference(image))
        if name not in self._own:
            async with self._lock:
                self._own.add(name)
                await self.inventory.load()
                await self.inventory.drop(name)

    async def pull(
        self, image: str, *, limit: float, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull as `Images.pull` does; what is pulled for the first time is ours to remove."""
        reference = parse_reference(image)
        name = str(reference)
        with self._holding(name):
            async with self._lock:
                spared = name in self._own or reference.is_in(self.spared)
                before = await self._announce(name, spared=spared)
            try:
                await self._pull(image, limit, progress)
            except Declined:
                await self._note(name)
                await self._take_back(name, before)
                raise
            await self._note(name)

    async def _pull(
        self, image: str, limit: float, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull while there is room: a layer may be a thousand times as large once unpacked."""
        full: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope, full)
            # An outcome, because an error that leaves a nursery would leave it in a group.
            pulled = await outcome.acapture(
                partial(self.images.pull, image, limit=limit, progress=progress)
            )
            nursery.cancel_scope.cancel()
        if full:
            raise Declined(f"image {image}: stopped on its way: {full[0]}")
        pulled.unwrap()

    async def _watch(self, pull: trio.CancelScope, full: list[str]) -> None:
        while not full:
            await trio.sleep(LOOK)
            full += filter(None, [await self.trouble()])
        pull.cancel()

    async def tidy(self, needed: Callable[[], Collection[str] | None]) -> int:
        """
        Remove images if there are too many; returns how many.

        *needed* are those of tasks that live, by the names that tasks have; None: nobody knows
        yet, so nothing is removed. Raises `Unavailable`.
        """
        found = await self._ours()
        goal, pressed = self._goal(found), bool(await self.trouble())
        total, removed = sum(one.size for one in found.values()), 0
        for name in sorted(found, key=lambda one: self.inventory.entries[one].used):
            if total <= goal and not pressed:
                break
            if await self._removed(name, needed):
                removed += 1
                total -= found[name].size
                pressed = pressed and bool(await self.trouble())
        return removed

    def _goal(self, found: Mapping[str, Found]) -> int:
        total = sum(one.size for one in found.values())
        return self.low if total > self.high else total

    @contextmanager
    def _holding(self, name: str) -> Iterator[None]:
        self._held[name] += 1
        try:
            yield
        finally:
            # A name that nobody holds is not kept: strangers choose them.
            self._held = +Counter({**self._held, name: self._held[name] - 1})

    async def _announce(self, name: str, *, spared: bool) -> str | None:
        """
        Remember, before the pull, that *name* will be ours; returns the id that it has now.

        A life that is cut in the middle of it would not know afterwards.
        """
        await self.inventory.load()
        known, here = self.inventory.entries.get(name), await self.find(name)
        if known or not (here or spared):
            await self.inventory.set(name, Entry(self.now(), known.id if known else ""))
        return here

    async def _note(self, name: str) -> None:
        """Remember what *name* is now; what it was before has lost its name, and stays ours."""
        entry, found = self.inventory.entries.get(name), await self.images.inspect(name)
        if entry is None or found is None:
            return
        if entry.id and entry.id != found.id:
            await self.inventory.set(entry.id, entry)
        await self.inventory.set(name, attrs.evolve(entry, id=found.id))

    async def _take_back(self, name: str, before: str | None) -> None:
        """Remove what turned out too large when it was here, unless it was here before."""
        here = await self.find(name)
        if name in self.inventory.entries and here is not None and here != before:
            # Kept for a container that runs already: it goes when its time has come.
            with suppress(EngineRefused):
                await self.images.engine.call(partial(_remove, name=name))

    async def _ours(self) -> dict[str, Found]:
        """What is still here and still what we pulled; the rest is forgotten."""
        await self.inventory.load()
        found: dict[str, Found] = {}
        for name, entry in list(self.inventory.entries.items()):
            one = await self.images.inspect(name)
            if self._held[name]:
                continue
            if one is None or _is_anothers(name, entry, one):
                await self.inventory.drop(name)
                continue
            if not entry.id:
                await self.inventory.set(name, attrs.evolve(entry, id=one.id))
            found[name] = one
        return found

    async def _removed(self, name: str, needed: Callable[[], Collection[str] | None]) -> bool:
        async with self._lock:
            busy = await self.images.engine.call(_in_containers)
            wanted = needed()
            # From here to the removal nobody can begin to use it: `pull` waits for the lock.
            if wanted is None or self._held[name] or name in {*_normal(wanted), *self._own}:
                return False
            if name in busy or self.inventory.entries[name].id in busy:
                return False
            try:
                await self.images.engine.call(partial(_remove, name=name))
            except EngineRefused as error:
                log.debug("image kept", image=name, reason=str(error))
                return False
            log.info("image removed: not used for longest", image=name)
            await self.inventory.drop(name)
            return True


def _is_anothers(name: str, entry: Entry, found: Found) -> bool:
    """True iff somebody else has put another image there, or a name on what had lost its own."""
    if name == entry.id:
        return bool(found.tags)
    return entry.id not in ("", found.id)


def _normal(names: Collection[str]) -> Iterator[str]:
    for name in names:
        # What is no name of an image has none.
        with suppress(Rejected):
            yield str(parse_reference(name))


def _remove(api: APIClient, name: str) -> None:
    try:
        api.remove_image(name)
    except NotFound:
        return


def _in_containers(api: APIClient) -> frozenset[str]:
    """Names and ids of the images of all containers, stopped ones too."""
    rows = api.containers(all=True)
    return frozenset(text for row in rows for text in (row["Image"], row["ImageID"]))
