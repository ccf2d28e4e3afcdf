"""What must be true of a world at rest, whatever happened in it. The numbers are those of the invariants.

I1, I2 no agent text for the customer but in the agent's own epoch. I3, I4 are watched at each commit. I5 one card per
thread. I6 no line of a customer is lost between agent, thread and recap. I7 an operator's event has one effect. I8
nothing typed after the end reaches the customer. I9 after a return the agent has read what happened. I10 the order of
the log everywhere. I11 nothing is posted twice. I12 what is for colleagues stays there. I13 everything settles.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bridge.conversation import CUSTOMER_SEES, Audience, Entry, EntryKind, Handoff, HandoffState, Role, State, TurnKind
from bridge.effects import OutKind
from bridge.ids import ConversationId, OutKey
from bridge.ports import AgentTurn
from bridge.storage import Out, Tx
from tests.simulation.process import epoch_said
from tests.simulation.scale import SITE
from tests.simulation.vendor import customers_lines

if TYPE_CHECKING:
    from tests.simulation.people import Client
    from tests.simulation.world import World

PEOPLE = frozenset({State.WAITING, State.HUMAN})
ALL = 1_000_000


@dataclass(frozen=True, kw_only=True)
class _Kept:
    log: list[Entry]
    handoffs: list[Handoff]
    dead: list[Out]


def _kept(tx: Tx, conversation: ConversationId) -> _Kept:
    row = tx.conversation(SITE, conversation, lock=False)
    handoffs, wanted = [], row.handoff if row else None
    while wanted is not None and (found := tx.handoff(SITE, wanted)) is not None:
        handoffs.append(found)
        wanted = found.previous
    return _Kept(
        log=tx.entries(SITE, conversation, limit=ALL),
        handoffs=handoffs[::-1],
        dead=[out for out in tx.dead_outs(SITE, limit=ALL) if out.conversation == conversation],
    )


async def all_shown(world: "World") -> bool:
    """Tell whether every window has come to the end of its log."""

    def unit(tx: Tx) -> bool:
        for client in world.clients:
            log = tx.entries(SITE, client.conversation, after_n=client.watermark, limit=ALL)
            if any(entry.audience in CUSTOMER_SEES for entry in log):
                return False
        return True

    return await world.store.read(unit)


async def agent_was_told(world: "World", turn: AgentTurn) -> None:
    """I9: whoever is asked has before them every line that the customer could see, and the briefing after a return."""
    kept = await world.store.read(lambda tx: _kept(tx, turn.conversation))
    row = await world.store.read(lambda tx: tx.turn(SITE, turn.turn))
    if row is None:
        world.fail(f"the agent was asked for {turn.turn}, which is no turn")
        return
    gone = {entry.target for entry in kept.log if entry.kind is EntryKind.DELETE}
    wanted = {
        entry.n
        for entry in kept.log
        if entry.kind is EntryKind.LINE
        and entry.audience in CUSTOMER_SEES
        and entry.n <= row.upto_n
        and entry.n not in gone
    }
    told = {message.n for message in turn.messages}
    if not wanted <= told:
        world.fail(f"I9: {turn.turn} was asked without the lines {sorted(wanted - told)} of {turn.conversation}")
    ended = kept.handoffs and kept.handoffs[-1].state not in (HandoffState.WAITING, HandoffState.HUMAN)
    spoke = any(
        entry.author.role is Role.AGENT and entry.epoch == turn.epoch and entry.audience in CUSTOMER_SEES
        for entry in kept.log
    )
    if ended and not spoke and turn.kind in (TurnKind.RESUMED, TurnKind.MESSAGE) and turn.briefing is None:
        world.fail(f"I9: {turn.turn} is the first since {kept.handoffs[-1].ticket} ended, and read no briefing")


async def at_rest(world: "World") -> None:
    """Ask everything of a world in which nothing is left to do."""
    seen: Counter[str] = Counter()
    for client in world.clients:
        kept = await world.store.read(partial(_kept, conversation=client.conversation))
        _log(world, client, kept)
        _screen(world, client, kept)
        _thread(world, client, kept)
        _nothing_lost(world, client, kept)
        _dead(world, kept)
        seen.update(entry.remote or "" for entry in kept.log if entry.author.role is Role.OPERATOR)
    for remote in world.desk.typed:
        if seen[remote] != 1:
            world.fail(f"I7: the message {remote} of an operator is {seen[remote]} times in the logs")


def _log(world: "World", client: "Client", kept: _Kept) -> None:
    name, past = client.conversation, world.past[client.conversation]
    if [entry.n for entry in kept.log] != list(range(1, len(kept.log) + 1)):
        world.fail(f"the log of {name} has gaps")
    said = [(e.text, e.n) for e in kept.log if e.author.role is Role.CUSTOMER and e.kind is EntryKind.LINE]
    if said != client.accepted:
        lost, doubled = set(client.accepted) - set(said), len(said) - len(set(said))
        world.fail(f"the log of {name} is not what was acknowledged: lost {lost}, doubled {doubled}, has {len(said)}")
    ended = {handoff.id: handoff.ended_at for handoff in kept.handoffs}
    for entry in kept.log:
        if entry.kind is not EntryKind.LINE or entry.audience not in CUSTOMER_SEES:
            continue
        state = past.states.get(entry.epoch, State.AGENT)
        if entry.author.role is Role.AGENT:
            if state is not State.AGENT or epoch_said(entry.text) not in (0, entry.epoch):
                world.fail(f"I1, I2: {name} {entry.n} {entry.text!r} was committed in epoch {entry.epoch}, {state}")
        elif entry.author.role is Role.OPERATOR:
            late = (
                state is State.AGENT
                and entry.handoff is not None
                and ended.get(entry.handoff) is not None
                and entry.epoch > 1
            )
            if state is not State.HUMAN and not late:
                world.fail(f"I8: {name} {entry.n} of an operator was sent in epoch {entry.epoch}, {state}")
            if state is State.HUMAN and past.owners[entry.epoch] != entry.author.id and "forwards" not in entry.data:
                world.fail(f"I8: {name} {entry.n} is of {entry.author.id}, who did not own it")
    _plain_replies(world, client, kept)


def _plain_replies(world: "World", client: "Client", kept: _Kept) -> None:
    """The owner's plain words reach the customer."""
    past = world.past[client.conversation]
    for entry in kept.log:
        spoken = world.desk.typed.get(entry.remote) if entry.remote else None
        if spoken is None or entry.audience is not Audience.COLLEAGUES or not spoken.text.startswith("reply"):
            continue
        if past.states.get(entry.epoch) is not State.HUMAN or past.owners[entry.epoch] != entry.author.id:
            continue
        if any(h.id == entry.handoff and h.thread.root == spoken.root for h in kept.handoffs):
            world.fail(f"{client.conversation} {entry.n}: the owner's reply was kept: {entry.data}")


def _screen(world: "World", client: "Client", kept: _Kept) -> None:
    visible = [entry for entry in kept.log if entry.audience in CUSTOMER_SEES]
    shown = [client.screen[n] for n in sorted(client.screen)]
    if shown != visible:
        lacks = [entry.n for entry in visible if entry.n not in client.screen]
        more = [entry.n for entry in shown if entry not in visible]
        world.fail(f"I10: the screen of {client.conversation} lacks {lacks} and has {more} too much")


def _thread(world: "World", client: "Client", kept: _Kept) -> None:
    past, vendor = world.past[client.conversation], world.vendor
    ours = {handoff.id for handoff in kept.handoffs}
    dead = {out.n for out in kept.dead}
    roots = [held for held in vendor.cards() if held.card is not None and held.card.handoff in ours]
    posted: Counter[int] = Counter()
    for root in roots:
        replies = vendor.thread(root.ref)
        numbers = [part.n for held in replies for part in held.parts if part.index == part.total]
        if numbers != sorted(numbers):
            world.fail(f"I10: the thread {root.ref} of {client.conversation} shows {numbers}")
        if len([held for held in replies if held.kind is OutKind.TRANSCRIPT]) > 1:
            world.fail(f"I11: the thread {root.ref} of {client.conversation} has two recaps")
        twice = [n for n, times in Counter(numbers).items() if times > 1]
        if twice:
            world.fail(f"I11: the thread {root.ref} of {client.conversation} shows {twice} twice")
        posted.update(n for held in replies for n in customers_lines(held))
    threads = Counter((held.card.handoff, held.channel, held.key) for held in roots if held.card is not None)
    opened = sum(handoff.thread.ordinal for handoff in kept.handoffs)
    if len(roots) != opened or any(times > 1 for times in threads.values()):
        world.fail(f"I5: {client.conversation} has {len(roots)} cards for {opened} threads")
    for handoff in kept.handoffs:
        card = next((held.card for held in roots if held.ref == handoff.thread.root), None)
        if card is None or card.state is not handoff.state:
            world.fail(f"the card of {handoff.ticket} shows {card.state if card else None}, not {handoff.state}")
    for entry in kept.log:
        if entry.kind is EntryKind.LINE and entry.author.role is Role.CUSTOMER:
            wanted = int(past.states.get(entry.epoch, State.AGENT) in PEOPLE)
            if entry.n not in dead and posted[entry.n] != wanted:
                world.fail(
                    f"I11: line {entry.n} of {client.conversation} is {posted[entry.n]} times in threads, not {wanted}"
                )


def _nothing_lost(world: "World", client: "Client", kept: _Kept) -> None:
    """I6: every line of a customer was read by the agent, or stands in a thread, or in a recap."""
    name, vendor = client.conversation, world.vendor
    asked = {m.n for turns in world.asked.values() for t in turns if t.conversation == name for m in t.messages}
    ours = {handoff.id for handoff in kept.handoffs}
    roots = {held.ref for held in vendor.cards() if held.card is not None and held.card.handoff in ours}
    replies = [held for held in vendor.messages if held.root in roots]
    told = {n for held in replies for n in customers_lines(held)} | {e.n for held in replies for e in held.recap}
    dead = {out.n for out in kept.dead}
    lost = [n for _, n in client.accepted if n not in asked | told | dead]
    if lost:
        world.fail(f"I6: nobody ever saw the lines {lost} of {name}")


def _dead(world: "World", kept: _Kept) -> None:
    """A dead letter only where the vendor refused, and never a silent one."""
    told = {entry.target for entry in kept.log if str(entry.data.get("notice", "")).startswith("delivery_")}
    for out in kept.dead:
        if not world.vendor.refused[OutKey(out.key)]:
            world.fail(f"{out.handoff} {out.k} is a dead letter ({out.reason}), but the vendor never refused it")
        if out.n not in told:
            notice = next((e for e in kept.log if e.n == out.n and e.kind is EntryKind.NOTICE), None)
            if notice is None:
                world.fail(f"{out.handoff} {out.k} is a dead letter ({out.reason}) that nobody was told of")
