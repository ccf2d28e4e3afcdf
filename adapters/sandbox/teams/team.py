"""The team itself: who is in it, what was said, and who may write. Knows no HTTP."""

from collections.abc import Callable

from adapters.sandbox.teams import cards
from adapters.sandbox.teams.people import BOT, BOT_NAME, TEAM, TEAM_NAME, Cast, Person
from adapters.sandbox.teams.records import ActRefused, Change, Channel, Json, Message, Notice, TeamsError, iso

MAX_NOTICES = 200


def split_conversation(conversation: str) -> tuple[str, str]:
    """Return (channel, root) of a conversation id; the root is "" for the channel itself."""
    channel, _, root = conversation.partition(";messageid=")
    return channel, root


class Team:
    """One team with its channels and people. Everything that changes is announced through `on_change`."""

    def __init__(self, cast: Cast, *, now: Callable[[], float]) -> None:
        """Begin with an empty team in which the bot is installed."""
        self.base_url = ""
        self.region = "amer"
        self.name = TEAM_NAME
        self.is_archived = False
        self.is_installed = True
        self.people = {person.aad: person for person in cast.people}
        self.members = list(cast.members)
        self.channels = {room.id: Channel(id=room.id, name=room.name) for room in cast.rooms}
        self.notices: list[Notice] = []
        self.images: dict[str, tuple[str, bytes]] = {}
        self.documents: dict[str, bytes] = {}
        self.on_change: Callable[[Change], None] = lambda _: None
        self._now = now
        self._last_ms = 0

    @property
    def service_url(self) -> str:
        """The connector's address as activities tell it."""
        return f"{self.base_url}/{self.region}/"

    def next_ms(self) -> int:
        """Return the current time in milliseconds; never the same twice, because ids are made of it."""
        self._last_ms = max(self._last_ms + 1, int(self._now() * 1000))
        return self._last_ms

    def person(self, who: str) -> Person:
        """Return a person by object id, bot user id, or first name in small letters."""
        for person in self.people.values():
            if who in {person.aad, person.id, person.name.split()[0].lower()}:
                return person
        raise ActRefused("unknown_user", f"nobody is called {who!r}; there are: {', '.join(self.people)}")

    def name_of(self, sender: str) -> str:
        """Return who a sender is to readers."""
        person = self.people.get(sender)
        return person.name if person else BOT_NAME

    def find_channel(self, conversation: str) -> tuple[Channel, str]:
        """Return (channel, root) for a conversation id. Raises TeamsError 404."""
        channel_id, root = split_conversation(conversation)
        channel = self.channels.get(channel_id)
        if channel is None or channel.is_deleted:
            raise TeamsError(404, "ConversationNotFound", "Conversation not found.")
        return channel, root

    def find_message(self, channel_id: str, message_id: str) -> Message:
        """Return a message that a person sees. Raises ActRefused."""
        channel = self.channels.get(channel_id)
        message = channel.messages.get(message_id) if channel else None
        if message is None:
            raise ActRefused("unknown_message", f"there is no message {message_id!r} in {channel_id!r}")
        return message

    def locate(self, message_id: str) -> Message:
        """Return a message by its id alone. Raises ActRefused."""
        for channel in self.channels.values():
            if message_id in channel.messages:
                return channel.messages[message_id]
        raise ActRefused("unknown_message", f"there is no message {message_id!r}")

    def add(self, message: Message) -> None:
        """Keep a new message and tell the page."""
        self.channels[message.channel].messages[message.id] = message
        self.changed(message)

    def changed(self, message: Message) -> None:
        """Tell the page that a message is another."""
        self.on_change(lambda: {"kind": "message", "message": message.as_json()})

    def touched(self) -> None:
        """Tell the page that something else than a message is another."""
        self.on_change(lambda: {"kind": "reload"})

    def tell(self, user: str, text: str, *, is_error: bool = False, message: str = "") -> None:
        """Show one person what the client says by itself."""
        notice = Notice(id=str(self.next_ms()), user=user, text=text, is_error=is_error, message=message)
        self.notices = [*self.notices[-MAX_NOTICES:], notice]
        self.on_change(lambda: {"kind": "notice", "notice": notice.as_json()})

    def need_bot(self) -> None:
        """Raise TeamsError 403 where the app was removed or may not write."""
        if not self.is_installed:
            raise TeamsError(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")

    def post(self, channel: Channel, root: str, activity: Json, *, only_for: str = "") -> str:
        """Post the bot's activity below a root, or as a new post without one. Returns its id, "" if Teams keeps it.

        `only_for`: the object id of the only person who sees it.

        Text and attachments together become two messages, and nobody learns their ids. Raises TeamsError.
        """
        if root:
            start = channel.messages.get(root)
            if start is None or start.is_deleted:
                raise TeamsError(404, "ConversationNotFound", f"The thread {root} does not exist or was deleted.")
        text, attachments = str(activity.get("text") or ""), list(activity.get("attachments") or [])
        if not text and not attachments:
            raise TeamsError(400, "BadSyntax", "Activity must have text or attachments.")
        cards.check_attachments(attachments)
        if not text or not attachments:
            return self._post(channel, root, activity, only_for).id
        self._post(channel, root, activity | {"attachments": []})
        self._post(channel, root, activity | {"text": ""})
        return ""

    def _post(self, channel: Channel, root: str, activity: Json, only_for: str = "") -> Message:
        at_ms = self.next_ms()
        message = Message(
            id=str(at_ms), channel=channel.id, root=root or str(at_ms), sender=BOT, at_ms=at_ms, targeted_to=only_for
        )
        _fill(message, activity)
        self.add(message)
        return message

    def own(self, channel: Channel, message_id: str) -> Message:
        """Return the bot's own message. Raises TeamsError 404 if there is none, 403 if it is another's."""
        message = channel.messages.get(message_id)
        if message is None or message.is_deleted:
            raise TeamsError(404, "ActivityNotFoundInConversation", "Activity not found in conversation.")
        if message.sender != BOT:
            raise TeamsError(403, "Forbidden", "The bot may change only its own messages.")
        return message

    def update(self, message: Message, activity: Json) -> None:
        """Replace the bot's message; single people's views of its card end. Raises TeamsError."""
        attachments = list(activity.get("attachments") or [])
        if not activity.get("text") and not attachments:
            raise TeamsError(400, "BadSyntax", "Activity must have text or attachments.")
        cards.check_attachments(attachments)
        message.views = {}
        message.edited_ms = self.next_ms()
        _fill(message, activity)
        self.changed(message)

    def delete(self, message: Message) -> None:
        """Delete a message; its place stays visible where there are replies."""
        message.is_deleted = True
        message.edited_ms = self.next_ms()
        self.changed(message)

    def stamp(self) -> str:
        """Return the current time as Teams writes it."""
        return iso(self.next_ms())

    def details(self, *, with_team: bool = True) -> Json:
        """Return the team as `channelData.team` names it."""
        return {"id": TEAM, "name": self.name} if with_team else {"id": TEAM}


def _fill(message: Message, activity: Json) -> None:
    message.text = str(activity.get("text") or "")
    message.text_format = str(activity.get("textFormat") or "markdown")
    message.attachments = list(activity.get("attachments") or [])
    message.entities = list(activity.get("entities") or [])
    message.summary = str(activity.get("summary") or "")
    message.importance = str(activity.get("importance") or "")
    message.activity = dict(activity)
    marked_up = "" if message.text_format == "plain" else message.text
    message.flags = cards.flags_of(marked_up, message.entities, message.cards)
