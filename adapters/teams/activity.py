"""What Teams posts to `/api/messages`, as far as it is of use: the one place where its JSON is parsed. Pure.

Unknown fields are ignored.
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, alias_generator=to_camel)


class Account(_Model):
    """Who sent, gets or is mentioned. `isTargeted`: only this one sees the message."""

    id: str | None = None
    name: str | None = None
    aad_object_id: str | None = None
    role: str | None = None
    is_targeted: bool | None = None


class Place(_Model):
    """A team, channel, tenant or conversation."""

    id: str | None = None
    name: str | None = None
    aad_group_id: str | None = None


class ChannelSettings(_Model):
    """What the installer chose."""

    selected_channel: Place | None = None


class ChannelData(_Model):
    """What Teams adds to an activity."""

    tenant: Place | None = None
    team: Place | None = None
    channel: Place | None = None
    event_type: str | None = None
    settings: ChannelSettings | None = None


class Entity(_Model):
    """A mention, or something else that is of no meaning here."""

    type: str | None = None
    mentioned: Account | None = None
    text: str | None = None


class Attachment(_Model):
    """The rich form of a message, an image, or something else."""

    content_type: str | None = None
    content_url: str | None = None
    content: Any = None
    name: str | None = None


class Activity(_Model):
    """What Teams posts to `/api/messages`."""

    type: str
    service_url: str = Field(min_length=1)
    channel_id: str
    id: str | None = None
    name: str | None = None
    action: str | None = None
    timestamp: datetime | None = None
    sender: Account = Field(default_factory=Account, alias="from")
    recipient: Account = Field(default_factory=Account)
    conversation: Place = Field(default_factory=Place)
    channel_data: ChannelData | None = None
    text: str | None = None
    attachments: list[Attachment] | None = None
    entities: list[Entity] | None = None
    members_added: list[Account] | None = None
    members_removed: list[Account] | None = None
    reply_to_id: str | None = None
    value: Any = None

    @property
    def tenant(self) -> str:
        """The tenant that this comes from; "" if it does not say."""
        return (self.channel_data and self.channel_data.tenant and self.channel_data.tenant.id) or ""


def read_activity(body: object) -> Activity:
    """Return the activity. Raises ValueError for what is none: no type, no serviceUrl, fields of the wrong kind."""
    try:
        return Activity.model_validate(body)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the document"
        raise ValueError(f"not an activity: {where}") from None
