"""One suite over every desk: the same cases, with the whole bridge in this process and the vendor's sandbox on sockets.

A subclass gives the fixtures `house` (the bridge, its agent, its customers) and `room` (the vendor's people and
threads), and `can`: the capabilities that its desk must state. Where those differ between desks, the case asserts the
statement and what people see instead; no case is skipped. Who is who: the owner takes conversations, the colleague may,
the supervisor may take over; guest, outsider and bot may nothing.

`Opening`: what is seen when a conversation goes to people and waits.
- escalation by the agent's run, its API, the customer's words, a failure, unasked by a person; each reason: card with
  the whole envelope, transcript, ticket for the customer. The same id again: nothing; another id: a notice
- queue closed, `wait`, `contact`, `stay`: when people are back; an address is asked for; no handoff
- lines meanwhile, withdrawal, ladder, unreachable desk, agent too late: thread; card; asked, told, given back; truth
- the customer's words, hostile, long, late: inert; split and whole; "written 7 s ago"; an envelope at its limits:
  summary and question whole
- the page open, closed for a while, open again: the card says so

`Owning`: who has it.
- first taker, second, several at once, supervisor: mention, card, joined; refused with the name; both told
- reply before it; `first_reply = "takes"`: kept with *Take it and send this*; sent
- release, owner gone, transfer to a person, a stranger, a queue, while waiting: offered again, ladder anew; mention and
  note; refused; new card with recap, old thread linked and deaf
- stale button, guest, outsider: refused in words

`Rehearsing`: what the agent would say.
- form, mention: the thread alone, labelled, with who asked and the draft note
- each field; twice; while waiting; by others, after the return; mistyped: read whole; one try a press; any operator;
  refused in words; a note
- failure, handover, silence, change of owner meanwhile: said

`Speaking`: who is heard.
- owner, colleague, supervisor, guest, outsider, bot; each `audience`: by name; kept with *Send to the customer*, by
  button and by menu; never
- note, command, mention, mistyped command, repeated note: kept, and said why
- edit from answer to answer, to note, from note to answer; delete: corrected; removed and said; kept; removed
- by capability, files both ways, typing, whisper: file or link; file or a notice; status or nothing; alone or by name

`Returning`: back to the agent, and back again.
- form, menu, slash command, mention; while waiting; by others: thread, card, customer, the agent's briefing with every
  field and line, those that have not left yet too; refused with the name
- reply just before it, after it, *Take it back*, earlier thread, next escalation: sent; kept and said; new linked
  handoff; link to the open one; who helped before is mentioned
- close by owner, agent, silence; customer's line after it; reopen: both told; the agent answers; new linked handoff

`Trouble`: the capabilities as a whole; refused post: dead letter with *Send again*; lost answer: once, or labelled;
repeated event: once; deleted card: a new thread with all that was said.

Elsewhere: transfer to another desk (`tests/adapters/test_two_desks.py`), what only one vendor has (its own tests).
"""

from tests.contracts.desk_conformance_opening import Opening
from tests.contracts.desk_conformance_owning import Owning
from tests.contracts.desk_conformance_rehearsing import Rehearsing
from tests.contracts.desk_conformance_returning import Returning
from tests.contracts.desk_conformance_speaking import Speaking
from tests.contracts.desk_conformance_trouble import Trouble


class DeskConformance(Opening, Owning, Rehearsing, Speaking, Returning, Trouble):
    """All cases."""
