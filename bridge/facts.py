"""What a desk has to remember of its vendor from one start to the next: addresses, ids, what was granted."""

from collections.abc import Mapping

from bridge.ids import DeskName, SiteId
from bridge.storage import Store, Tx


class DeskFacts:
    """The facts of one desk, plain strings by constant names. Kept in the store, so that all processes share them."""

    def __init__(self, store: Store, site: SiteId, desk: DeskName) -> None:
        """Take the store; nothing is read before it is asked for."""
        self._store, self._site, self._desk = store, site, desk
        self._known: dict[str, str] = {}

    @property
    def known(self) -> Mapping[str, str]:
        """What was last read or put here; may lag behind other processes."""
        return self._known

    async def all(self) -> Mapping[str, str]:
        """Return everything that is remembered, as it is now. Raises StoreUnavailable."""
        self._known = dict(await self._store.read(lambda tx: tx.desk_facts(self._site, self._desk)))
        return self._known

    async def put(self, **facts: str) -> None:
        """Remember these; "" forgets one. What is known already costs nothing. Raises StoreUnavailable."""
        news = {name: value for name, value in facts.items() if self._known.get(name, "") != value}
        if not news:
            return

        def unit(tx: Tx) -> None:
            for name, value in sorted(news.items()):
                tx.put_desk_fact(self._site, self._desk, name, value)

        await self._store.run(unit)
        self._known.update(news)
        self._known = {name: value for name, value in self._known.items() if value}
