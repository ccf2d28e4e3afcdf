"""Teams with less and with more granted than the desk conformance suite has: what people see then."""

from pathlib import Path

from bridge.capabilities import Support
from tests.adapters.teams.conformance_rig import staged
from tests.contracts.desk_conformance_room import OWNER
from tests.contracts.desk_conformance_talk import new_talk


async def test_without_consent_only_mentions_are_heard(tmp_path: Path) -> None:
    """Until the team lets the bot hear all, the card says to mention it: then a mention is how one answers, and
    what mentions nobody is not heard. The first message that arrives unasked takes that sentence away.
    """
    async with staged(tmp_path, "support") as (house, room):
        await room.forbid_hearing_all()
        talk = await new_talk(house, room)
        await talk.taken()
        await talk.card_says("Only messages that mention me are heard here")
        await talk.say(OWNER, "a canary that mentions nobody")
        await room.ask(OWNER, "Hello Kim, I am Dana.", talk.root)
        await talk.chat.sees("Hello Kim, I am Dana.")
        assert "Support Bridge" not in talk.chat.texts[-1]
        await room.ask(OWNER, "// a canary all the same", talk.root)
        await room.allow_hearing_all()
        await talk.say(OWNER, "Now all is heard.")
        await talk.chat.sees("Now all is heard.")
        await talk.card_says_no("Only messages that mention me")
        assert not talk.chat.ever_saw("canary")


async def test_with_graph_the_desk_can_look_and_fetch(tmp_path: Path) -> None:
    """Where Graph is granted a post whose answer was lost stands there once, and a file of people reaches the
    customer; what the desk says that it can do is that much more.
    """
    async with staged(tmp_path, "support", HANDOFF_TEAMS__GRAPH="true") as (house, room):
        room.sandbox.rules.graph = True
        talk = await new_talk(house, room)
        await talk.taken()
        assert talk.capabilities.read_back is Support.PARTIAL
        await house.quiet()
        await room.lose_an_answer()
        await talk.chat.say("Did you get this?")
        await talk.sees("Did you get this?")
        await house.quiet()
        assert talk.times("Did you get this?") == 1
        assert "sent again" not in talk.notes

        await room.attach(OWNER, "manual.pdf", b"%PDF-1.4 a manual", "Here is the manual.", talk.root)
        await talk.chat.sees("Here is the manual.")
        assert await talk.chat.file("manual.pdf") == b"%PDF-1.4 a manual"
        assert "Files in channels do not reach me" not in talk.notes
