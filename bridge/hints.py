"""What one process tells the others on the same store, so that they need not wait for their next sweep."""

from collections.abc import Callable
from typing import Protocol

from bridge.storage import Changed


class Hints(Protocol):
    """Carries hints to the other processes on the same store. A hint may be lost, late or repeated; nothing rests on
    it.

    The stores of one process have none.
    """

    def say(self, change: Changed) -> None:
        """Tell the others, soon. Must be called in the running loop; never blocks, never raises."""
        ...

    def hear(self, told: Callable[[Changed], None]) -> None:
        """Call this, in the running loop, with each hint of another process. May be called before `say`, once."""
        ...
