"""Slack and Teams behind one bridge: a conversation passes from one desk to the other and back."""

from pathlib import Path

from tests.adapters.slack.conformance_rig import slack_queues, slack_room
from tests.adapters.teams.conformance_rig import teams_queues, teams_room
from tests.contracts.desk_conformance_house import LeapingClock, house_at
from tests.contracts.desk_conformance_room import COLLEAGUE, OWNER
from tests.contracts.desk_conformance_talk import SUMMARY, new_talk


async def test_a_conversation_passes_to_the_other_desk_and_back(tmp_path: Path) -> None:
    """A new card with the recap stands on the other desk, the old thread says where it went and is heard no more; the
    customer stays in the same chat. Each desk's people are nobody on the other.
    """
    clock = LeapingClock()
    async with slack_room(clock) as slack, teams_room(clock, "support") as teams:
        toml = slack_queues(clock, "support", "billing") + teams_queues(clock, "support", suffix="-teams")
        async with house_at(tmp_path, slack.environment() | teams.environment(), toml, clock) as house:
            await slack.join()
            await teams.join(house.bridge.port)
            talk = await new_talk(house, slack)
            await talk.taken()
            await talk.say(OWNER, "Our colleagues in Teams know more.")
            await talk.chat.sees("Our colleagues in Teams know more.")
            before = talk.root
            await slack.transfer(OWNER, before, queue="support-teams", note="Charged twice.")

            talk.room = teams
            card = await talk.follow("support")
            for words in (SUMMARY, "Waiting for somebody to take it", f"{OWNER} moved it here"):
                assert words in card.text
            assert "Our colleagues in Teams know more." in talk.notes
            await talk.sees(f"{OWNER} moved this conversation here from Support. Note: Charged twice.")
            await talk.take(COLLEAGUE)
            await talk.say(COLLEAGUE, "Hello from Teams.")
            await talk.chat.sees("Hello from Teams.")

            talk.room, after = slack, talk.root
            left = await talk.sees("It goes on in a new thread. Note: Charged twice.", before)
            assert "https://teams.microsoft.com/l/message/" in str(left)
            assert (await talk.card_says("Moved to", before)).buttons == ()
            await slack.say(OWNER, "a canary in Slack", before)
            await talk.sees("This is the thread of an earlier handoff.", before)

            await teams.transfer(COLLEAGUE, after, queue="billing", note="Yours again.")
            await talk.follow("billing")
            assert "Hello from Teams." in talk.notes
            await talk.take(OWNER)
            await talk.say(OWNER, "Hello from Slack again.")
            await talk.chat.sees("Hello from Slack again.")
            talk.room = teams
            assert (await talk.card_says("Moved to", after)).buttons == ()
            await teams.say(COLLEAGUE, "a canary in Teams", after)
            await talk.sees("This is the thread of an earlier handoff.", after)
            assert not talk.chat.ever_saw("canary")
            assert not talk.chat.ever_saw("Charged twice.")
