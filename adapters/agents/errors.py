"""What an agent's HTTP answer or silence means, as AgentFailed with a constant code."""

import aiohttp

from bridge.errors import AgentFailed


def from_status(status: int) -> AgentFailed | None:
    """Return the failure that a status means, or None for 200 and its kin."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return AgentFailed("refused", f"HTTP {status}: redirects are not followed; set agent.url to the final address")
    if status in (401, 403):
        return AgentFailed("refused", f"HTTP {status}: the agent refused the signature; compare agent.secret")
    if status in (408, 425, 429) or status in (502, 503, 504):
        return AgentFailed("unreachable", f"HTTP {status}: the agent is busy or away")
    if status < 500:
        return AgentFailed("refused", f"HTTP {status}: the agent refused the turn")
    return AgentFailed("crashed", f"HTTP {status}: the agent failed")


def from_exception(error: Exception) -> AgentFailed:
    """Return the failure that a client error means. Its own words may hold the address, so they are left out."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return AgentFailed("refused", "the agent's certificate is not valid")
    if isinstance(error, aiohttp.ClientPayloadError):
        return AgentFailed("unreadable", "the agent's answer broke off")
    return AgentFailed("unreachable", f"the agent cannot be reached ({type(error).__name__})")
