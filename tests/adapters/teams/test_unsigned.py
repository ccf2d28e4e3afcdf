"""The unsigned door over a real socket: shut unless it is set, and then open to this machine alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.app import serving
from adapters.sandbox.teams.people import APP_ID, DANA, SUPPORT, TEAM, TENANT
from bridge.settings import load

SERVICE_URL = "http://127.0.0.1:9/_connector"
TOML = f'[[queues]]\nname = "care"\ndesk = "teams"\nchannels = ["{SUPPORT}"]\n'
COMMON = {
    "HANDOFF_SECRET_KEY": "k" * 32,
    "HANDOFF_AGENT__KIND": "demo",
    "HANDOFF_PORT": "0",
    "HANDOFF_TEAMS__APP_ID": APP_ID,
    "HANDOFF_TEAMS__TENANT_ID": TENANT,
    "HANDOFF_TEAMS__SERVICE_URL": SERVICE_URL,
}
UNSIGNED = {"HANDOFF_TEAMS__UNSIGNED": "true"}
SIGNED = {
    "HANDOFF_TEAMS__APP_PASSWORD": "canary",
    "HANDOFF_TEAMS__METADATA_URL": "http://127.0.0.1:9/meta",
    "HANDOFF_TEAMS__AUTHORITY_URL": "http://127.0.0.1:9",
}
ACTIVITY: dict[str, Any] = {
    "type": "message",
    "id": "1795399879383",
    "channelId": "msteams",
    "serviceUrl": SERVICE_URL,
    "timestamp": "2026-11-23T02:11:19.383Z",
    "from": {"id": DANA, "name": "Dana Ruiz", "aadObjectId": DANA},
    "recipient": {"id": f"28:{APP_ID}"},
    "conversation": {"id": f"{SUPPORT};messageid=1795399879377", "conversationType": "channel"},
    "text": "Hello",
    "channelData": {"tenant": {"id": TENANT}, "team": {"id": TEAM}, "channel": {"id": SUPPORT}},
}


@pytest.mark.parametrize(
    "more, headers, status",
    [
        (UNSIGNED, {}, 200),
        (UNSIGNED, {"X-Forwarded-For": "198.51.100.7"}, 401),
        (UNSIGNED, {"Host": "bridge.example.com"}, 401),
        (UNSIGNED, {"Origin": "https://attacker.example"}, 401),
        (UNSIGNED, {"Content-Type": "text/plain"}, 415),
        (SIGNED, {}, 401),
    ],
    ids=["this machine", "a proxy", "a tunnel", "a web page", "a web page's form", "by default"],
)
async def test_an_unsigned_call(more: dict[str, str], headers: Mapping[str, str], status: int, tmp_path: Path) -> None:
    """It is taken only where that is set, from this machine, and not on somebody else's behalf."""
    file = tmp_path / "any.toml"
    file.write_text(TOML, encoding="utf-8")
    settings = load({**COMMON, "HANDOFF_DATABASE_URL": f"sqlite:///{tmp_path}/any.db", **more}, file)
    async with serving(settings) as bridge, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{bridge.port}/api/messages"
        async with http.post(url, json=ACTIVITY, headers=headers) as answer:
            assert answer.status == status, await answer.text()
