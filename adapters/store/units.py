"""The `Tx` of the core over a connection of the driver: the same units of work for every database."""

from typing import TYPE_CHECKING

from adapters.store.gauges import GaugeUnits
from adapters.store.handoffs import HandoffUnits
from adapters.store.log import LogUnits
from adapters.store.runs import TurnUnits
from adapters.store.sharing import SharingUnits

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor

    from adapters.store.prepared import Statements
    from bridge.storage import Tx


class SqlTx(LogUnits, HandoffUnits, TurnUnits, SharingUnits, GaugeUnits):
    """One transaction; cheap to make, made anew for every unit."""

    __slots__ = ()


if TYPE_CHECKING:

    def _fulfils_the_port(cursor: DBAPICursor, statements: Statements) -> Tx:
        return SqlTx(cursor, statements)
