"""Units' calls on the inbox, conversations, their log, and files."""

from sqlalchemy import bindparam as b
from sqlalchemy import exists, insert, literal_column, or_, select, text, update

from adapters.store import rows
from adapters.store.prepared import PerDialect, Session
from adapters.store.tables import CONVERSATION, ENTRY, FILE, INBOX, LANE
from bridge.conversation import Audience, Conversation, Entry, EntryKind, FileRef
from bridge.errors import StoreUnavailable
from bridge.ids import ConversationId, DeskName, FileId, Millis, RemoteRef, SiteId, SourceId

_REMEMBER = PerDialect(lambda insert: insert(INBOX).on_conflict_do_nothing())

_C = CONVERSATION.c
_CONVERSATION = select(CONVERSATION).where(_C.site == b("site"), _C.id == b("id"))
_CONVERSATION_LOCKED = _CONVERSATION.with_for_update()
_INSERT_CONVERSATION = insert(CONVERSATION)
_SAVE_CONVERSATION = (
    update(CONVERSATION)
    .values({c.name: b(f"v_{c.name}") for c in CONVERSATION.c if c.name not in {"site", "id"}})
    .where(_C.site == b("v_site"), _C.id == b("v_id"), _C.epoch == b("was_epoch"))
)

_E = ENTRY.c
_APPEND = insert(ENTRY)
_OF_ONE = (_E.site == b("site"), _E.conversation == b("conversation"))
_ENTRIES = select(ENTRY).where(*_OF_ONE, _E.n > b("after_n"), _E.n <= b("upto_n")).order_by(_E.n).limit(b("most"))
_LAST_ENTRIES = select(ENTRY).where(*_OF_ONE, _E.n < b("before_n")).order_by(_E.n.desc()).limit(b("most"))
# What sends an aside on names it in its data, whose keys the bridge itself writes.
_ASIDES = (
    select(ENTRY)
    .where(*_OF_ONE, _E.n >= b("from_n"))
    .where(or_(_E.audience == literal_column(f"'{Audience.COLLEAGUES}'"), text("""data LIKE '%"forwards"%'""")))
    .order_by(_E.n.desc())
    .limit(b("most"))
)
_ENTRY_BY_REMOTE = (
    select(ENTRY)
    .where(
        _E.site == b("site"),
        _E.remote == b("remote"),
        _E.kind == literal_column(f"'{EntryKind.LINE}'"),
        exists().where(LANE.c.site == _E.site, LANE.c.conversation == _E.conversation, LANE.c.desk == b("desk")),
    )
    .order_by(_E.at.desc(), _E.n.desc())
    .limit(literal_column("1"))
)

_PUT_FILE = PerDialect(lambda insert: insert(FILE).on_conflict_do_nothing())
_FILE = select(FILE).where(FILE.c.site == b("site"), FILE.c.id == b("id"))

_EVERY_N = 2**62


class LogUnits(Session):
    """See `bridge.storage.Tx`: inbox, conversation and log, files."""

    __slots__ = ()

    def remember(self, site: SiteId, source: SourceId, now: Millis) -> bool:
        return self._change(_REMEMBER, site=site, source=source, at=now) == 1

    def conversation(self, site: SiteId, conversation: ConversationId, *, lock: bool = True) -> Conversation | None:
        row = self._one(_CONVERSATION_LOCKED if lock else _CONVERSATION, site=site, id=conversation)
        return None if row is None else rows.conversation_of(row)

    def insert_conversation(self, conversation: Conversation) -> None:
        self._write(_INSERT_CONVERSATION, **rows.conversation_row(conversation))

    def save_conversation(self, conversation: Conversation, *, was_epoch: int) -> None:
        values = {f"v_{name}": value for name, value in rows.conversation_row(conversation).items()}
        if self._change(_SAVE_CONVERSATION, **values, was_epoch=was_epoch) != 1:
            raise StoreUnavailable(f"conversation {conversation.id} is no longer at epoch {was_epoch}")

    def append(self, site: SiteId, conversation: ConversationId, entry: Entry) -> None:
        self._write(_APPEND, **rows.entry_row(site, conversation, entry))

    def entries(
        self,
        site: SiteId,
        conversation: ConversationId,
        *,
        after_n: int = 0,
        upto_n: int | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        last = _EVERY_N if upto_n is None else upto_n
        found = self._all(_ENTRIES, site=site, conversation=conversation, after_n=after_n, upto_n=last, most=limit)
        return [rows.entry_of(row) for row in found]

    def last_entries(self, site: SiteId, conversation: ConversationId, *, before_n: int, limit: int) -> list[Entry]:
        found = self._all(_LAST_ENTRIES, site=site, conversation=conversation, before_n=before_n, most=limit)
        return [rows.entry_of(row) for row in reversed(found)]

    def asides(self, site: SiteId, conversation: ConversationId, *, from_n: int, limit: int = 500) -> list[Entry]:
        found = self._all(_ASIDES, site=site, conversation=conversation, from_n=from_n, most=limit)
        return [rows.entry_of(row) for row in reversed(found)]

    def entry_by_remote(self, site: SiteId, desk: DeskName, remote: RemoteRef) -> tuple[ConversationId, Entry] | None:
        row = self._one(_ENTRY_BY_REMOTE, site=site, desk=desk, remote=remote)
        return None if row is None else (ConversationId(row[1]), rows.entry_of(row))

    def put_file(self, site: SiteId, file: FileRef, digest: str) -> None:
        self._write(
            _PUT_FILE,
            site=site,
            id=file.id,
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            digest=digest,
        )

    def file(self, site: SiteId, file: FileId) -> tuple[FileRef, str] | None:
        row = self._one(_FILE, site=site, id=file)
        if row is None:
            return None
        _, key, name, media_type, size_bytes, digest = row
        return FileRef(id=key, name=name, media_type=media_type, size_bytes=size_bytes), digest
