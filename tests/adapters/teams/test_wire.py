"""Teams' activities -> what happened."""

from typing import Any

import pytest

from adapters.teams import wire
from adapters.teams.activity import read_activity
from bridge.ids import Millis

NOW = Millis(1_800_000_000_000)
CHANNEL = "19:abc@thread.tacv2"
BOT = {"id": "28:bot", "name": "Bridge"}


def sent(**changes: Any) -> dict[str, Any]:
    """Return a reply in a channel's thread as Teams sends it."""
    return {
        "type": "message",
        "id": "1795328916999",
        "timestamp": "2026-11-22T05:35:16.999Z",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "channelId": "msteams",
        "from": {"id": "29:dana", "name": "Dana Ruiz", "aadObjectId": "aad-dana"},
        "recipient": BOT,
        "conversation": {"id": f"{CHANNEL};messageid=1795328916471", "tenantId": "t1"},
        "channelData": {"tenant": {"id": "t1"}, "team": {"id": "19:team"}, "channel": {"id": CHANNEL}},
        "text": "Hello",
        **changes,
    }


def happened(**changes: Any) -> wire.Happened | None:
    return wire.read(read_activity(sent(**changes)), NOW)


def spoken(**changes: Any) -> wire.Spoken:
    found = happened(**changes)
    assert isinstance(found, wire.Spoken)
    return found


def test_a_message_says_where_when_and_who() -> None:
    """The thread is that of the conversation id, the person Entra's, the time Teams', never one yet to come."""
    found = spoken()
    assert (found.channel, found.root, found.activity) == (CHANNEL, "1795328916471", "1795328916999")
    assert (found.person, found.account, found.tenant, found.team) == ("aad-dana", "29:dana", "t1", "19:team")
    assert found.at == 1_795_325_716_999
    assert spoken(timestamp="2099-01-01T00:00:00Z").at == NOW
    assert spoken(timestamp=None).at == NOW


def test_the_same_thing_has_the_same_key_and_other_things_another() -> None:
    """By conversation, message, kind, and for changes the time: what Teams may deliver twice."""
    edit = {"type": "messageUpdate", "channelData": {**sent()["channelData"], "eventType": "editMessage"}}
    later = {**edit, "timestamp": "2026-11-22T06:00:00Z"}
    gone = {"type": "messageDelete", "channelData": {**sent()["channelData"], "eventType": "softDeleteMessage"}}
    found = [happened(), happened(**edit), happened(**later), happened(**gone), happened(id="1795328917000")]
    sources = [one.source for one in found if one is not None]

    assert len(set(sources)) == len(sources) == 5
    assert [one.source for one in (happened(), happened(**edit)) if one] == sources[:2]


NOTHING: list[dict[str, Any]] = [
    {"type": "messageReaction", "reactionsAdded": [{"type": "like"}]},
    {"type": "typing"},
    {"type": "messageUpdate"},
    {"type": "messageUpdate", "channelData": {"tenant": {"id": "t1"}, "eventType": "somethingNew"}},
    {"type": "messageDelete"},
    {"type": "message", "id": None},
    {"type": "event", "name": "application/vnd.microsoft.meetingStart"},
]


@pytest.mark.parametrize("changes", NOTHING, ids=range(len(NOTHING)))
def test_what_means_nothing_is_nothing(changes: dict[str, Any]) -> None:
    """Reactions, typing, kinds that are not known."""
    assert happened(**changes) is None


@pytest.mark.parametrize(
    "text, note",
    [
        ("<at>Bridge</at> return all done", "all done"),
        ("<at>Bridge</at> /return: all done", "all done"),
        ("<at>Bridge</at> RETURN", ""),
        ("<at>Bridge</at> returned it", None),
        ("<at>Bridge</at> return-policy?", None),
        ("please <at>Bridge</at> return", None),
    ],
)
def test_return_is_a_word_behind_the_mention(text: str, note: str | None) -> None:
    """The first one, alone or with a note."""
    mention = {"type": "mention", "text": "<at>Bridge</at>", "mentioned": BOT}
    assert spoken(text=text, entities=[mention]).command == (
        note if note is None else wire.Command(name="return", note=note)
    )


def test_return_without_a_mention_needs_its_slash() -> None:
    """A sentence that begins with the word is a sentence."""
    assert spoken(text="/return thanks").command == wire.Command(name="return", note="thanks")
    assert spoken(text="/rehearse thanks").command == wire.Command(name="rehearse", note="thanks")
    assert spoken(text="return it by post").command is None
    assert spoken(text="rehearse it").command is None


def test_a_private_message_is_never_something_spoken() -> None:
    """Whatever its text or value: it is between one person and the bot."""
    private = {**BOT, "isTargeted": True}
    for changes in ({"text": "secret"}, {"text": "", "value": {"verb": "take"}}, {"text": "<at>Bridge</at> return x"}):
        assert isinstance(happened(recipient=private, **changes), wire.Targeted)


def test_what_becomes_of_a_private_message_is_private_too() -> None:
    """Neither its edit nor its coming back is ever something spoken."""
    private = {**BOT, "isTargeted": True}
    for kind, event in (("messageUpdate", "editMessage"), ("messageUpdate", "undeleteMessage")):
        data = {**sent()["channelData"], "eventType": event}
        assert isinstance(happened(type=kind, channelData=data), wire.Spoken)
        assert happened(type=kind, channelData=data, recipient=private) is None


def test_the_extension_finds_its_thread_by_the_message_it_was_used_on() -> None:
    """Where the conversation is the channel's, the message says below which root it stands."""
    for payload, root in (({"id": "5", "replyToId": "3"}, "3"), ({"id": "5"}, "5"), ("x", "")):
        value = {"commandId": "returnToAgent", "messagePayload": payload}
        found = happened(type="invoke", name=wire.FETCH, conversation={"id": CHANNEL}, value=value)
        assert isinstance(found, wire.Compose)
        assert found.root == root


def test_a_submit_is_a_press_and_a_text_is_not() -> None:
    """An old client's button comes as a message without text."""
    press = happened(text=None, value={"verb": "take", "handoff": "h_1", "target": 4}, replyToId="17")
    assert isinstance(press, wire.Click)
    assert (press.verb, press.handoff, press.target, press.card, press.inline) == ("take", "h_1", 4, "17", False)
    assert isinstance(happened(text="Hello", value={"verb": "take"}), wire.Spoken)
    assert happened(text=None, value={"other": 1}) is None


def test_an_invoke_that_is_not_known_is_still_answered() -> None:
    """It waits for an answer, and gets one that says so."""
    for name in ("task/fetch", "composeExtension/query", None):
        assert isinstance(happened(type="invoke", name=name), wire.Asked)


def test_only_mentions_in_entities_count() -> None:
    """Typed ones are words; the fact that speaks of colleagues is set for people, channels and tags alike."""
    channel = {"type": "mention", "text": "<at>General</at>", "mentioned": {"id": CHANNEL, "name": "General"}}
    person = {"type": "mention", "text": "<at>Lee</at>", "mentioned": {"id": "29:lee", "name": "Lee"}}
    both = spoken(text="<at>General</at> <at>Lee</at> x", entities=[channel, person])

    assert both.hints(hears_all=True, home=True) == {"mentions_person", "is_broadcast_mention"}
    assert spoken(text="<at>Lee</at> x").hints(hears_all=True, home=True) == frozenset()
    assert "is_foreign" in spoken().hints(hears_all=True, home=False)


@pytest.mark.parametrize(
    "body", [None, [], "x", 1, {}, {"type": "message"}, sent(serviceUrl=""), sent(timestamp="soon"), sent(text=[1])]
)
def test_what_is_no_activity_is_refused(body: object) -> None:
    """With the field that is wrong, and nothing of its content."""
    with pytest.raises(ValueError, match="not an activity"):
        read_activity(body)
