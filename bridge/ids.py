"""Opaque ids. Only the one who minted an id may parse it; for everybody else it is a string to compare and to keep.

| id | minted by | unique within |
|---|---|---|
| SiteId | the operator of the bridge, in settings | the installation |
| ConversationId, HandoffId, TurnId, FileId, OutKey | `mint` | everywhere |
| Ticket (`H-1042`) | the store, in the escalation's transaction | the site |
| QueueName, DeskName | settings | the site |
| ChannelId, RemoteRef, OperatorId | the desk adapter | the desk (operator ids are desk-qualified: `slack:T1:U1`) |
| CustomerId | the widget adapter or the company's token | the site |
| SourceId | the adapter at whose door an event entered | the site; it is the key by which repeats are recognised |
"""

import secrets
from typing import NewType

SiteId = NewType("SiteId", str)
ConversationId = NewType("ConversationId", str)
HandoffId = NewType("HandoffId", str)
TurnId = NewType("TurnId", str)
FileId = NewType("FileId", str)
OutKey = NewType("OutKey", str)
Ticket = NewType("Ticket", str)
QueueName = NewType("QueueName", str)
DeskName = NewType("DeskName", str)
ChannelId = NewType("ChannelId", str)
RemoteRef = NewType("RemoteRef", str)
OperatorId = NewType("OperatorId", str)
CustomerId = NewType("CustomerId", str)
SourceId = NewType("SourceId", str)
Millis = NewType("Millis", int)
"""Milliseconds since the Unix epoch, UTC."""


def mint(prefix: str) -> str:
    """Return a fresh id of 128 random bits, `<prefix>_<32 hex digits>`: safe in URLs, button values and block ids."""
    return f"{prefix}_{secrets.token_hex(16)}"
