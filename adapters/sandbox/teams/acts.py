"""What people do in the team, as the page and the tests ask for it: `POST /sandbox/act`."""

import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable, Mapping

from adapters.sandbox.teams import activities, clicks, team_acts
from adapters.sandbox.teams.compose import compose
from adapters.sandbox.teams.people import BOT, BOT_NAME, Person
from adapters.sandbox.teams.records import ActRefused, Json, Message, TeamsError
from adapters.sandbox.teams.sandbox import Sandbox
from adapters.sandbox.teams.team import split_conversation

Act = Callable[[Sandbox, Person, Json], Awaitable[Json]]

REACTIONS = ("like", "heart", "laugh", "surprised", "sad", "angry")


async def perform(sandbox: Sandbox, body: Json) -> Json:
    """Do one thing as one person. Raises ActRefused, `unknown_act` naming what there is."""
    kind = str(body.get("kind", ""))
    act = ACTS.get(kind)
    if act is None:
        raise ActRefused("unknown_act", f"no act {kind!r}; there are: {', '.join(ACTS)}")
    return await act(sandbox, sandbox.team.person(str(body.get("user", ""))), body)


def mentions_bot(said: Message) -> bool:
    """Tell whether a message mentions the bot."""
    return any(each.get("mentioned", {}).get("id") == BOT for each in said.entities)


def hears(sandbox: Sandbox, said: Message) -> bool:
    """Tell whether the bot gets this message: always where it is mentioned or meant alone, else by RSC."""
    return sandbox.team.is_installed and (sandbox.rules.rsc or mentions_bot(said) or bool(said.targeted_to))


def _place(sandbox: Sandbox, body: Json) -> tuple[str, str]:
    """Return (channel, root): of `thread`, or of `channel` and `root`."""
    channel_id, root = split_conversation(str(body.get("thread") or body.get("channel") or ""))
    root = root or str(body.get("root") or "")
    try:
        channel, _ = sandbox.team.find_channel(channel_id)
    except TeamsError as error:
        raise ActRefused("unknown_channel", f"there is no channel {channel_id!r}") from error
    if root and root not in channel.messages:
        raise ActRefused("unknown_message", f"there is no post {root!r} in {channel.name}")
    return channel.id, root


def _said(sandbox: Sandbox, person: Person, body: Json) -> Message:
    channel, root = _place(sandbox, body)
    typed = str(body.get("text", ""))
    text, rich, mentions = compose(typed, sandbox.team.people.values())
    at_ms = sandbox.team.next_ms()
    return Message(
        id=str(at_ms), channel=channel, root=root or str(at_ms), sender=person.aad, at_ms=at_ms, text=text,
        text_format="plain", html=str(body.get("html") or rich), entities=mentions,
    )  # fmt: skip


def _publish(sandbox: Sandbox, person: Person, said: Message) -> Json:
    sandbox.team.add(said)
    if hears(sandbox, said):
        sandbox.delivery.publish(activities.message(sandbox.team, person, said))
    return {"id": said.id, "thread": said.thread}


async def message(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Say something: in `channel`, or in its thread `root`. `html` replaces what the client would make of the text."""
    said = _said(sandbox, person, body)
    if not said.text and not body.get("html"):
        raise ActRefused("no_text", "a message needs a text")
    return _publish(sandbox, person, said)


async def mention(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Say something to the bot by name."""
    return await message(sandbox, person, body | {"text": f"@{BOT_NAME} {body.get('text', '')}".rstrip()})


async def targeted(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Say something that the bot alone sees, as a slash command does. It belongs to no thread, except by rule."""
    said = _said(sandbox, person, body)
    if not sandbox.rules.slash:
        said.root = said.id
    said.targeted_to = person.aad
    sandbox.team.add(said)
    if hears(sandbox, said):
        sent = activities.message(sandbox.team, person, said)
        if not sandbox.rules.slash:
            sent["conversation"]["id"] = said.channel
        sandbox.delivery.publish(sent)
    return {"id": said.id, "thread": said.thread}


async def image(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Paste a picture into a message: `content_base64`, with a `text` or without."""
    said, key = _said(sandbox, person, body), uuid.uuid4().hex
    sandbox.team.images[key] = (person.aad, _content(body))
    url = f"{sandbox.team.service_url}v3/attachments/{key}/views/original"
    said.attachments = [{"contentType": "image/*", "contentUrl": url}]
    said.html += (
        f'<p><img src="{url}" width="250" height="250" alt="image" itemscope="image/png" '
        'itemtype="http://schema.skype.com/AMSImage"></p>'
    )
    said.files = [{"name": "image", "image": key}]
    return _publish(sandbox, person, said)


async def file(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Share a file. The bot sees no more of it than `<attachment id>`: the file itself is in the team's SharePoint."""
    said, key = _said(sandbox, person, body), str(uuid.uuid4())
    name = str(body.get("filename") or "file")
    sandbox.team.documents[key] = _content(body)
    said.html += f'<attachment id="{key}"></attachment>'
    url = f"https://northwind.sharepoint.com/sites/support/Shared%20Documents/{key}/{name}"
    said.files = [{"name": name, "document": key, "url": url}]
    return _publish(sandbox, person, said)


def _content(body: Json) -> bytes:
    try:
        return base64.b64decode(body["content_base64"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise ActRefused("invalid_arguments", "content_base64 must be base64") from error


def _own(sandbox: Sandbox, person: Person, body: Json, *, is_deleted: bool = False) -> Message:
    found = sandbox.team.locate(str(body.get("message", "")))
    if found.sender != person.aad:
        raise ActRefused("not_yours", "people change only their own messages")
    if found.is_deleted != is_deleted:
        raise ActRefused("wrong_state", "the message is deleted" if found.is_deleted else "the message is there")
    return found


def _tell_change(sandbox: Sandbox, said: Message, activity: Json) -> None:
    wanted = sandbox.rules.edit_events
    if wanted == "none" or (wanted == "mentioned" and not mentions_bot(said)) or not hears(sandbox, said):
        return
    sandbox.delivery.publish(activity)


async def edit(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Change one's own `message`."""
    said = _own(sandbox, person, body)
    said.text, said.html, said.entities = compose(str(body.get("text", "")), sandbox.team.people.values())
    said.edited_ms = sandbox.team.next_ms()
    sandbox.team.changed(said)
    _tell_change(sandbox, said, activities.edited(sandbox.team, person, said, "editMessage"))
    return {"id": said.id}


async def delete(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Delete one's own `message`; owners of the team may delete anybody's."""
    said = sandbox.team.locate(str(body.get("message", "")))
    if not person.is_owner:
        said = _own(sandbox, person, body)
    sandbox.team.delete(said)
    if said.sender != BOT:
        _tell_change(sandbox, said, activities.deleted(sandbox.team, person, said))
    return {"id": said.id}


async def undelete(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """Bring one's own deleted `message` back."""
    said = _own(sandbox, person, body, is_deleted=True)
    said.is_deleted = False
    sandbox.team.changed(said)
    _tell_change(sandbox, said, activities.edited(sandbox.team, person, said, "undeleteMessage"))
    return {"id": said.id}


async def react(sandbox: Sandbox, person: Person, body: Json) -> Json:
    """React to a `message` with a `name`, or take that back. The bot hears only of its own messages."""
    said, name = sandbox.team.locate(str(body.get("message", ""))), str(body.get("name", "like"))
    if name not in REACTIONS:
        raise ActRefused("unknown_reaction", f"name must be one of: {', '.join(REACTIONS)}")
    who = said.reactions.setdefault(name, [])
    is_added = person.aad not in who
    if is_added:
        who.append(person.aad)
    else:
        who.remove(person.aad)
    sandbox.team.changed(said)
    if said.sender == BOT and sandbox.team.is_installed:
        sandbox.delivery.publish(activities.reacted(sandbox.team, person, said, name, is_added=is_added))
    return {}


async def again(sandbox: Sandbox, _: Person, body: Json) -> Json:
    """Have Teams deliver a `message` once more, exactly as it was."""
    said = sandbox.team.locate(str(body.get("message", "")))
    found = [each["activity"] for each in sandbox.journal.deliveries if each["id"] == said.id]
    if not found:
        raise ActRefused("never_delivered", f"the bot was never sent {said.id}")
    sandbox.delivery.publish(found[-1])
    return {"id": said.id}


ACTS: Mapping[str, Act] = {
    "message": message,
    "mention": mention,
    "targeted": targeted,
    "image": image,
    "file": file,
    "edit": edit,
    "delete": delete,
    "undelete": undelete,
    "react": react,
    "again": again,
    **clicks.ACTS,
    **team_acts.ACTS,
}
