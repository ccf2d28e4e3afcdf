"""Our ids for Teams' things. Pure.

A thread is `<channel>;messageid=<root>`, as Teams itself routes by it; a message is `<thread>#<its own id>`. See
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations
"""

from bridge.ids import ChannelId, OperatorId, RemoteRef, SourceId

_IN_THREAD = ";messageid="


def thread_id(channel: str, root: str) -> str:
    """Return the conversation id of the thread below a root message."""
    return f"{channel}{_IN_THREAD}{root}"


def split_thread(conversation: str) -> tuple[ChannelId, str]:
    """Return (channel, root message) of a conversation id; the root is "" for the channel itself."""
    channel, _, root = conversation.partition(_IN_THREAD)
    return ChannelId(channel), root


def is_thread(conversation: str) -> bool:
    """Tell whether a reply sent there lands below a root: without one it would open a post for all to see."""
    return split_thread(conversation)[1].isdigit()


def remote_ref(conversation: str, activity: str) -> RemoteRef:
    """Return the reference of a message in a thread."""
    return RemoteRef(f"{conversation}#{activity}")


def root_ref(channel: str, root: str) -> RemoteRef:
    """Return the reference of a root message."""
    return remote_ref(thread_id(channel, root), root)


def split_ref(ref: RemoteRef) -> tuple[str, str]:
    """Return (conversation id of the thread, message id) of a reference made by `remote_ref`."""
    conversation, _, activity = ref.rpartition("#")
    return conversation, activity


def operator_id(tenant: str, person: str) -> OperatorId:
    """Return the id of a person, by the object id that Entra gives."""
    return OperatorId(f"teams:{tenant}:{person}")


def person_of(operator: str) -> str | None:
    """Return Entra's object id of a person from an `OperatorId`; None if that is another desk's."""
    kind, _, rest = operator.partition(":")
    person = rest.partition(":")[2]
    return person if kind == "teams" and person else None


def source_id(tenant: str, *parts: str) -> SourceId:
    """Return the key by which a repeat is recognised."""
    return SourceId(":".join(("teams", tenant, *parts)))
