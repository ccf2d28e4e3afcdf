"""What one person alone sees in a channel: answers to their own private messages, which slash commands are.

https://learn.microsoft.com/microsoftteams/platform/agents-in-teams/targeted-messages. The library cannot say it: it
knows no `isTargetedActivity`, and drops the entity that names the message.
"""

from typing import Any
from urllib.parse import quote, urljoin

import aiohttp

from adapters.teams.calls import TeamsCalls, error_code
from adapters.teams.errors import answered, unclear
from adapters.teams.text import clean

Json = dict[str, Any]


async def answer(calls: TeamsCalls, conversation: str, *, person: str, message: str, sentence: str) -> None:
    """Answer a private message where it was written. Raises CallFailed.

    `conversation` may be a mere channel, since a slash command belongs to no thread; `person` is Teams' own id.
    """
    body: Json = {
        "type": "message",
        "textFormat": "plain",
        "text": f"↔ {clean(sentence)}",
        "recipient": {"id": person},
        "entities": [{"type": "targetedMessageInfo", "messageId": message}],
    }
    path = f"v3/conversations/{quote(conversation, safe='')}/activities?isTargetedActivity=true"
    headers = {"Authorization": f"Bearer {await calls.tokens.get()}"}
    await calls.slot()
    url = urljoin(f"{calls.service_url.rstrip('/')}/", path)
    try:
        async with calls.web().post(url, json=body, headers=headers, allow_redirects=False) as said:
            if said.status >= 300:
                raise answered("answer", said.status, error_code(await said.content.read(20_000)))
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise unclear("answer", "connection_broke") from None
