"""The one hard rule under random schedules: what an agent generates while people own a conversation reaches nobody."""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.conversation import CUSTOMER_SEES, Audience, EntryKind, Role, State
from bridge.envelope import ReturnNote
from bridge.fakes.agent import Crash, Hang, Pause, Step
from bridge.ports import Collected, Delta, Done, Message, ToolCall, Typing
from tests.bridge.turns_world import CHAT, SITE, World

STEPS = st.one_of(
    st.builds(Delta, text=st.sampled_from(["Your refund ", "is approved. ", "Goodbye."])),
    st.builds(Message, text=st.sampled_from(["Hello.", "One moment.", "All done."])),
    st.builds(Pause, st.sampled_from([0.01, 0.3, 2.0, 20.0])),
    st.just(Typing()),
    st.just(ToolCall(name="look_up")),
    st.just(Collected(values={"n": 1})),
    st.just(Crash(RuntimeError("boom"))),
    st.just(Hang()),
)
SCRIPTS = st.lists(st.lists(STEPS, max_size=8), min_size=1, max_size=4)
# What happens from outside, and how much later the next thing does.
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["line", "takeover", "return", "other worker"]), st.sampled_from([0.0, 0.2, 1.0, 7.0, 40.0])
    ),
    min_size=2,
    max_size=8,
)


async def happen(world: World, deed: str) -> None:
    """Let one thing happen, if it can now."""
    state = (await world.conversation()).state
    if deed == "line":
        await world.customer("and now?")
    elif deed == "takeover" and state is State.AGENT:
        await world.takeover()
    elif deed == "return" and state in (State.WAITING, State.HUMAN):
        await world.give_back(await world.handoff(), ReturnNote(note="Settled.", continue_now=True))


async def no_late_word(world: World) -> None:
    """Read the whole log: between a handoff and its return, no line of the agent is for the customer."""
    entries = await world.store.read(lambda tx: tx.entries(SITE, CHAT))
    owner = {1: True}
    for entry in entries:
        if entry.kind is EntryKind.NOTICE and entry.audience is Audience.CUSTOMER:
            ends = entry.data["notice"] in ("returned", "agent_again", "withdrawn")
            owner[entry.epoch] = ends
        if entry.author.role is Role.AGENT and entry.audience in CUSTOMER_SEES:
            assert owner.get(entry.epoch), f"the agent spoke in epoch {entry.epoch}: {entries}"
    assert [entry.n for entry in entries] == list(range(1, len(entries) + 1))


# A takeover between two pieces of a message, and one after a tool's answer, where no hint arrives.
@example(
    scripts=[[Delta(text="Your refund "), Pause(2.0), Delta(text="is approved. ")]],
    deeds=[("line", 0.2), ("takeover", 7.0)],
    hints=False,
)
@example(
    scripts=[[Message(text="One moment."), Pause(2.0), ToolCall(name="refund"), Message(text="All done.")]],
    deeds=[("takeover", 7.0), ("return", 1.0)],
    hints=False,
)
@settings(max_examples=150)
@given(scripts=SCRIPTS, deeds=DEEDS, hints=st.booleans())
async def test_no_schedule_lets_a_late_word_through(
    scripts: list[list[Step]], deeds: list[tuple[str, float]], hints: bool
) -> None:
    """Whatever the agent does and whenever people take over and return, with one worker or two, the fence holds."""
    world = World(hints=hints)
    for script in scripts:
        world.agent.script(*script, Done())
    await world.customer("hello")
    workers = [world.turns]
    running = [asyncio.create_task(world.turns.run())]
    for deed, later_s in deeds:
        if deed == "other worker":
            workers.append(world.process(f"w{len(workers) + 1}"))
            running.append(asyncio.create_task(workers[-1].run()))
        await happen(world, deed)
        await world.clock.advance(later_s)
        conversation = await world.conversation()
        stream = await world.store.read(lambda tx: tx.stream(SITE, CHAT))
        assert conversation.state is State.AGENT or stream is None or not stream.open
    stopping = [asyncio.create_task(worker.stop()) for worker in workers]
    for work in (*stopping, *running):
        await world.finish(work)

    await no_late_word(world)
    assert world.agent.open == 0
