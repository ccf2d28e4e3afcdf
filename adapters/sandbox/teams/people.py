"""Who and what is in the sandbox team. Ids are constants, so tests and the demo can name them.

A team's id is that of its General channel; a bot's id is `28:` and the app id; a person has a `29:` id of their own for
each bot and one object id in Entra. See
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/channel-and-group-conversations
"""

from dataclasses import dataclass, field

TENANT = "72a1e9c4-3b0d-4c55-9e0a-6f1b8d2c4e70"
OTHER_TENANT = "c0ffee11-9a4e-4d2b-8f37-1b2c3d4e5f60"

TEAM = "19:Gx7tJ2nQvK0bWm3yTfR8uLs5HdPzCeAaNqVi1oXk4Yw1@thread.tacv2"
TEAM_GROUP = "8d4b6e2a-51c7-4f0e-a3d9-27e6b1f09c35"
TEAM_NAME = "Northwind Support"
GENERAL = TEAM
BILLING = "19:b7c1d5e94f0a4c2d8e6b3a9f17d20c58@thread.tacv2"
SUPPORT = "19:5e02f8a6c3d94b71a0e4d7b9262f1c83@thread.tacv2"

APP_ID = "4f1d6c2e-7b3a-4e8f-9c5d-0a1b2c3d4e5f"
BOT = f"28:{APP_ID}"
BOT_NAME = "Support Bridge"

DANA = "d0a1e7f2-1c3b-4a5d-8e6f-90a1b2c3d4e5"
LEE = "1ee0b2c3-5d4e-4f60-9a7b-8c9d0e1f2a3b"
SAM = "5a0c4d5e-6f7a-4b8c-9d0e-1f2a3b4c5d6e"
GUEST = "90e57a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b"
OUTSIDER = "0075de1a-3b4c-4d5e-9f60-718293a4b5c6"


@dataclass(kw_only=True, slots=True)
class Person:
    """A member, guest or outsider. `aad` is the object id in Entra, `id` what this bot knows the person by."""

    aad: str
    id: str
    name: str
    email: str
    tenant: str = TENANT
    colour: str = "4a5f7f"
    title: str = ""
    is_guest: bool = False
    is_owner: bool = False

    def account(self) -> dict[str, str]:
        """Return what an activity calls `from`."""
        return {"id": self.id, "name": self.name, "aadObjectId": self.aad}


@dataclass(kw_only=True, slots=True)
class Room:
    """A channel before anybody has spoken."""

    id: str
    name: str


@dataclass(kw_only=True, slots=True)
class Cast:
    """Everything a team starts with. `members` are object ids."""

    people: list[Person]
    rooms: list[Room]
    members: list[str] = field(default_factory=list)


def more_channel(number: int) -> str:
    """Return the id of the channel `More <number>`, from 1 on."""
    return f"19:{number:032x}@thread.tacv2"


def default_cast(more_channels: int = 0) -> Cast:
    """Return a fresh copy of the default team: three colleagues, a guest and an outsider, three channels and more."""
    people = [
        Person(aad=DANA, id=_bot_user("dana"), name="Dana Ruiz", email="dana@northwind.example", colour="8a4f2c",
               title="Support"),
        Person(aad=LEE, id=_bot_user("leep"), name="Lee Park", email="lee@northwind.example", colour="5b4a8a",
               title="Billing"),
        Person(aad=SAM, id=_bot_user("samo"), name="Sam Okafor", email="sam@northwind.example", colour="2f6b52",
               title="Support lead", is_owner=True),
        Person(aad=GUEST, id=_bot_user("noag"), name="Noa Levi", email="noa@agency.example", colour="7a6a2a",
               is_guest=True),
        Person(aad=OUTSIDER, id=_bot_user("kimi"), name="Kim Ivers", email="kim@freight.example",
               tenant=OTHER_TENANT, colour="8a2f4a"),
    ]  # fmt: skip
    rooms = [Room(id=GENERAL, name="General"), Room(id=BILLING, name="Billing"), Room(id=SUPPORT, name="Support")]
    rooms += [Room(id=more_channel(number), name=f"More {number}") for number in range(1, more_channels + 1)]
    return Cast(people=people, rooms=rooms, members=[DANA, LEE, SAM, GUEST])


def _bot_user(seed: str) -> str:
    return f"29:1{seed}-Qm9YkR3vT7wZ0pLx2NcJ5hGd8sAeUfBiVo4tKzMqXyWrCl6gHnEj1DuPbSaFO"
