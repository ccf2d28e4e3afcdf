"""What the Direct Line server needs to know; `adapters/app.py` fills it from the settings of the bridge."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectLineSettings:
    """Settings of the Direct Line server. Secrets are not part of its repr."""

    signing_secrets: tuple[str, ...] = field(repr=False)
    """Keys of the tokens: the first one signs, all verify (rotation). At least one."""
    secret: str | None = field(default=None, repr=False)
    """With it the company's server asks for tokens. None: `tokens/generate` is switched off."""
    base_url: str | None = None
    """The public address, `https://bridge.example`; None: the one that each request names (loopback and tests)."""
    trusted_origins: tuple[str, ...] = ()
    """Pages that may use this server, as exact origins (`https://shop.example`); empty: any page that has a token."""
    anonymous_tokens: bool = False
    """Whether anybody may ask for a token of an unverified customer: what Copilot Studio's published page does."""
    anonymous_tokens_per_minute: int = 600
    """For all callers together: behind a proxy they look alike."""
    token_days: float = 7
    """How long a token is good; every refresh and reconnect starts it anew."""
    grace_days: float = 30
    """How long after its end a token may still be exchanged for a new one: a laptop that slept through."""
    stream_token_s: int = 120
    """How long the address of a stream may be used to connect."""
    max_activity_bytes: int = 256 * 1024
    max_upload_bytes: int = 20 * 1024 * 1024
    """Per file."""
    max_upload_files: int = 10
    posts_per_second: float = 2
    post_burst: int = 30
    """What one conversation may post: `post_burst` at once, `posts_per_second` in the long run."""
    max_sockets_per_conversation: int = 8
    send_timeout_s: float = 20
    """How long a window may take to read a frame, before it is closed."""
    max_pending_bytes: int = 4 * 1024 * 1024
    """How much may wait for a window that reads slowly, before it is closed."""
    agent_name: str = "Assistant"
    """Name of the AI where an entry holds none."""
    public_label: str = "support"
    """What stands behind a person's name in the chat: `**Dana Ruiz** · Acme support`."""
    bridge_name: str = "Notice"
    """From whom a screen reader says that notices are."""

    def __post_init__(self) -> None:
        if not self.signing_secrets or not all(self.signing_secrets):
            raise ValueError("signing_secrets holds no secret; set HANDOFF_SECRET_KEY")
