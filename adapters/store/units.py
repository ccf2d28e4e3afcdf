"""The `Tx` of the core over a SQLAlchemy connection: the same units of work for every database."""

from typing import TYPE_CHECKING

from adapters.store.handoffs import HandoffUnits
from adapters.store.log import LogUnits
from adapters.store.runs import TurnUnits

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapters.store.prepared import Statements
    from bridge.ports import Tx


class SqlTx(LogUnits, HandoffUnits, TurnUnits):
    """One transaction; cheap to make, made anew for every unit."""

    __slots__ = ()


if TYPE_CHECKING:

    def _fulfils_the_port(connection: Connection, statements: Statements) -> Tx:
        return SqlTx(connection, statements)
