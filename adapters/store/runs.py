"""Units' calls on the agent's turns and streams."""

from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam as b
from sqlalchemy import delete, exists, insert, literal_column, select, text, update

from adapters.store import rows
from adapters.store.prepared import PerDialect, Session
from adapters.store.tables import CONVERSATION, LIVE, STREAM, TURN, UNREAD
from bridge.conversation import Conversation, Stream, Turn, TurnState
from bridge.ids import ConversationId, Millis, SiteId, TurnId

_T = TURN.c
_TURN = select(TURN).where(_T.site == b("site"), _T.id == b("id"))
_LIVE_TURN = select(TURN).where(
    _T.site == b("site"), _T.conversation == b("conversation"), text(f"{LIVE} AND kind <> 'rehearsal'")
)
_INSERT = insert(TURN).values({c.name: b(c.name) for c in TURN.c if c.name != "seq"}).inline()
_END = update(TURN).values(state=b("v_state")).where(_T.site == b("v_site"), _T.id == b("v_id"), text(LIVE))
_CLAIMABLE = (
    select(TURN)
    .where(text(LIVE), _T.lease_until <= b("now"))
    .order_by(_T.seq)
    .limit(literal_column("1"))
    .with_for_update(skip_locked=True)
)
_C = CONVERSATION.c
_UNANSWERED = (
    select(CONVERSATION)
    .where(
        text(UNREAD),
        ~exists().where(
            _T.site == _C.site,
            _T.conversation == _C.id,
            text("turn.state IN ('queued', 'running') AND turn.kind <> 'rehearsal'"),
        ),
    )
    .order_by(_C.last_at)
    .limit(b("most"))
)
_CLAIM = (
    update(TURN)
    .values(state=literal_column(f"'{TurnState.RUNNING}'"), attempt=b("v_attempt"), lease_owner=b("v_worker"))
    .values(lease_until=b("v_until"))
    .where(_T.seq == b("v_seq"))
)
_RENEW = (
    update(TURN)
    .values(lease_until=b("v_until"))
    .where(_T.site == b("v_site"), _T.id == b("v_id"), _T.attempt == b("v_attempt"))
    .where(_T.state == literal_column(f"'{TurnState.RUNNING}'"))
)

_S = STREAM.c
_OPENED: dict[str, Any] = {c.name: b(c.name) for c in STREAM.c if c.name != "seq"} | {"seq": literal_column("1")}
_WRITE = PerDialect(
    lambda insert: (
        insert(STREAM)
        .values(_OPENED)
        .on_conflict_do_update(
            index_elements=["site", "conversation"],
            set_={
                "turn": insert(STREAM).excluded.turn,
                "attempt": insert(STREAM).excluded.attempt,
                "seq": _S.seq + literal_column("1"),
                "text": insert(STREAM).excluded.text,
            },
        )
    )
)
_CLOSE = delete(STREAM).where(_S.site == b("site"), _S.conversation == b("conversation"), _S.turn == b("turn"))
_STREAM = select(_S.turn, _S.attempt, _S.seq, _S.text).where(_S.site == b("site"), _S.conversation == b("conversation"))


class TurnUnits(Session):
    """See `bridge.storage.Tx`: turns and streams."""

    __slots__ = ()

    def live_turn(self, site: SiteId, conversation: ConversationId) -> Turn | None:
        row = self._one(_LIVE_TURN, site=site, conversation=conversation)
        return None if row is None else rows.turn_of(row)

    def turn(self, site: SiteId, turn: TurnId) -> Turn | None:
        row = self._one(_TURN, site=site, id=turn)
        return None if row is None else rows.turn_of(row)

    def insert_turn(self, turn: Turn) -> None:
        self._write(_INSERT, **rows.turn_row(turn))

    def end_turn(self, site: SiteId, turn: TurnId, state: TurnState) -> None:
        self._write(_END, v_site=site, v_id=turn, v_state=state.value)

    def claim_turn(self, worker: str, now: Millis, lease_ms: int) -> Turn | None:
        row = self._one(_CLAIMABLE, now=now)
        if row is None:
            return None
        found = rows.turn_of(row)
        attempt = found.attempt + (found.state is TurnState.RUNNING)
        self._write(_CLAIM, v_seq=row[0], v_attempt=attempt, v_worker=worker, v_until=now + lease_ms)
        return replace(found, attempt=attempt, state=TurnState.RUNNING)

    def unanswered(self, limit: int = 100) -> list[Conversation]:
        return [rows.conversation_of(row) for row in self._all(_UNANSWERED, most=limit)]

    def renew_turn(self, site: SiteId, turn: TurnId, attempt: int, now: Millis, lease_ms: int) -> bool:
        return self._change(_RENEW, v_site=site, v_id=turn, v_attempt=attempt, v_until=now + lease_ms) == 1

    def write_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId, attempt: int, text: str) -> None:
        self._write(_WRITE, site=site, conversation=conversation, turn=turn, attempt=attempt, text=text)

    def close_stream(self, site: SiteId, conversation: ConversationId, turn: TurnId) -> None:
        self._write(_CLOSE, site=site, conversation=conversation, turn=turn)

    def stream(self, site: SiteId, conversation: ConversationId) -> Stream | None:
        row = self._one(_STREAM, site=site, conversation=conversation)
        return None if row is None else Stream(turn=row[0], attempt=row[1], seq=row[2], text=row[3])
