"""Which pictures Teams shows in place: PNG, JPEG or GIF, at most 1 MB and 1024 x 1024. Others are links only. Pure.

https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format
"""

from bridge.conversation import FileRef

TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})
MAX_BYTES = 1024 * 1024
MAX_PIXELS = 1024
HEAD_BYTES = 128 * 1024
"""So much of a JPEG may be other things, as a preview, before it tells its size."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's segments that tell the size (ITU-T T.81, table B.1)."""


def may_show(file: FileRef) -> bool:
    """Tell whether it is worth a look at its first bytes."""
    return file.media_type in TYPES and file.size_bytes <= MAX_BYTES


def shows(head: bytes) -> bool:
    """Tell whether a picture that begins like this is small enough."""
    found = dimensions(head)
    return found is not None and 0 < max(found) <= MAX_PIXELS


def dimensions(head: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels; None where that cannot be told."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return _jpeg(head) if head.startswith(b"\xff\xd8") else None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 5 : at + 7], "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
