"""Who and what is in the sandbox workspace. Ids are constants, so tests and the demo can name them."""

from dataclasses import dataclass, field

TEAM_ID = "T0HARBOUR"
TEAM_NAME = "Northwind Outfitters"
TEAM_DOMAIN = "northwind-outfitters"
OTHER_TEAM_ID = "T0FREIGHT"

APP_ID = "A0BRIDGE1"
BOT_ID = "B0BRIDGE1"
BOT_USER = "U0BRIDGE1"

DANA = "U0DANARUIZ"
SAM = "U0SAMOKAFR"
LEE = "U0LEEPARK1"
GUEST = "U0GUESTNOA"
OUTSIDER = "U0OUTIVERS"
OTHER_BOT = "U0DEPLOYBT"
OTHER_BOT_ID = "B0DEPLOYBT"

SUPPORT = "C0SUPPORT"
BILLING = "C0BILLING"
RANDOM = "C0RANDOM1"
PARTNERS = "C0PARTNER"

BILLING_TEAM = "S0BILLING"


@dataclass(kw_only=True, slots=True)
class Person:
    """A member, guest, bot or outsider, as ``users.info`` describes one.

    Shape: https://docs.slack.dev/reference/objects/user-object
    """

    id: str
    name: str
    real_name: str
    email: str = ""
    team_id: str = TEAM_ID
    title: str = ""
    colour: str = "4a5f7f"
    is_bot: bool = False
    bot_id: str | None = None
    app_id: str | None = None
    is_guest: bool = False
    is_admin: bool = False
    deleted: bool = False
    presence: str = "active"


@dataclass(kw_only=True, slots=True)
class Room:
    """A channel as the configuration describes it, before anybody has spoken."""

    id: str
    name: str
    topic: str = ""
    members: list[str] = field(default_factory=list)
    is_private: bool = False
    is_ext_shared: bool = False


@dataclass(kw_only=True, slots=True)
class UserGroup:
    """A user group (``S...``), mentioned as ``@handle``."""

    id: str
    handle: str
    name: str
    members: list[str]


@dataclass(kw_only=True, slots=True)
class Cast:
    """Everything a workspace starts with."""

    people: list[Person]
    rooms: list[Room]
    groups: list[UserGroup]


def more_channel(number: int) -> str:
    """Return the id of the channel `more-<number>`, from 1 on."""
    return f"C0MORE{number:03}"


def default_cast(more_channels: int = 0) -> Cast:
    """Return a fresh copy of the default workspace: three colleagues, a guest, an outsider, two bots, four channels.

    `more_channels`: so many more for the colleagues and the bridge.
    """
    groups = [UserGroup(id=BILLING_TEAM, handle="billing-team", name="Billing team", members=[SAM, LEE])]
    return Cast(people=_people(), rooms=_rooms() + _more_rooms(more_channels), groups=groups)


def _people() -> list[Person]:
    return [
        Person(
            id=DANA,
            name="dana",
            real_name="Dana Ruiz",
            email="dana@northwind.example",
            title="Support",
            colour="8a4f2c",
        ),
        Person(
            id=SAM,
            name="sam",
            real_name="Sam Okafor",
            email="sam@northwind.example",
            title="Support lead",
            colour="2f6b52",
            is_admin=True,
        ),
        Person(
            id=LEE, name="lee", real_name="Lee Park", email="lee@northwind.example", title="Billing", colour="5b4a8a"
        ),
        Person(id=GUEST, name="noa", real_name="Noa Guest", email="noa@agency.example", colour="7a6a2a", is_guest=True),
        Person(
            id=OUTSIDER,
            name="ivers",
            real_name="Kim Ivers",
            email="kim@freight.example",
            team_id=OTHER_TEAM_ID,
            colour="8a2f4a",
        ),
        Person(
            id=BOT_USER,
            name="bridge",
            real_name="Support Bridge",
            colour="1f4e79",
            is_bot=True,
            bot_id=BOT_ID,
            app_id=APP_ID,
        ),
        Person(
            id=OTHER_BOT,
            name="deploybot",
            real_name="Deploy Bot",
            colour="555555",
            is_bot=True,
            bot_id=OTHER_BOT_ID,
            app_id="A0DEPLOY1",
        ),
    ]


def _more_rooms(count: int) -> list[Room]:
    members = [DANA, SAM, LEE, BOT_USER]
    return [Room(id=more_channel(n), name=f"more-{n}", members=list(members)) for n in range(1, count + 1)]


def _rooms() -> list[Room]:
    return [
        Room(
            id=SUPPORT,
            name="support",
            topic="Conversations from the web chat",
            members=[DANA, SAM, LEE, GUEST, BOT_USER, OTHER_BOT],
        ),
        Room(id=BILLING, name="billing", topic="Invoices and refunds", members=[DANA, SAM, LEE, BOT_USER]),
        Room(id=RANDOM, name="random", topic="Anything else", members=[DANA, SAM, LEE, OTHER_BOT]),
        Room(
            id=PARTNERS,
            name="partners",
            topic="Shared with Freight Co",
            members=[SAM, OUTSIDER, BOT_USER],
            is_ext_shared=True,
        ),
    ]
