"""One fifth of real times, so that a world is over sooner; their proportions are the product's."""

from functools import cache

from bridge.attempt import TurnLimits
from bridge.conversation import Customer, Operator, Standing
from bridge.ids import ChannelId, ConversationId, CustomerId, DeskName, OperatorId, QueueName, SiteId
from bridge.judging import House
from bridge.pacing import Pace
from bridge.routing import Directory, Queue, Rule, Rung
from bridge.triggers import Triggers

SITE = SiteId("sim")
DESK = DeskName("vendor")
GRACE_S = 3.0
CALL_TIMEOUT_S = 2.0
READ_LAG_S = 0.5
PACE_S = 0.2
LIMITS = TurnLimits(
    first_byte_s=3.0,
    total_s=12.0,
    lease_s=3.0,
    renew_every_s=1.0,
    commit_every_s=0.1,
    retry_after_s=0.1,
)
SUPPORT, BILLING = QueueName("support"), QueueName("billing")
LADDER = (
    Rung(name="ask", after_s=5, action="mention"),
    Rung(name="sorry", after_s=9, action="tell_customer"),
    Rung(name="back", after_s=20, action="return"),
)
QUEUES = (
    Queue(
        name=SUPPORT, label="Support", desk=DESK, channels=(ChannelId("C1"), ChannelId("C2")),
        ladder=LADDER, idle_close_s=120,
    ),
    Queue(
        name=BILLING, label="Billing", desk=DESK, channels=(ChannelId("C3"),), first_reply="takes",
        ladder=LADDER[:2], idle_close_s=120,
    ),
)  # fmt: skip
OPERATORS = tuple(
    Operator(id=OperatorId(f"v:T1:{name.upper()}"), name=name, standing=standing)
    for name, standing in (
        ("Dana", Standing.ALLOWED),
        ("Ben", Standing.ALLOWED),
        ("Sue", Standing.SUPERVISOR),
    )
)


@cache
def house() -> House:
    """Return the settings of the simulated site."""
    directory = Directory(queues=QUEUES, rules=(Rule(queue=BILLING, suggested="billing"),))
    return House(directory=directory, triggers=Triggers(low_confidence=0.3, low_confidence_turns=2, tool_failures=1))


def pace() -> Pace:
    """Return the pause after each post, and what changes may cost."""
    return Pace(post_every_ms=int(PACE_S * 1000), change_every_ms=int(PACE_S * 1500))


def customer(number: int) -> tuple[ConversationId, Customer]:
    """Return a customer and their conversation."""
    return ConversationId(f"conv-{number}"), Customer(id=CustomerId(f"cu-{number}"), name=f"Kim {number}", locale="en")
