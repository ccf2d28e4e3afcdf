"""What a file really is, told from its first bytes, and a name for it that harms nobody. Pure.

The signatures are those of https://mimesniff.spec.whatwg.org/ and of the formats' own documents. What only looks like
text is never HTML, SVG or a script here: it is shown as text.
"""

import codecs
import re
import unicodedata
from pathlib import PurePosixPath

HEAD_BYTES = 512
"""How much of a file `sniff` wants to see."""

UNKNOWN = "application/octet-stream"
TEXT = "text/plain"

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"OggS\x00", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_FTYP = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
_ZIPPED = re.compile(r"^application/(?:vnd\.openxmlformats-officedocument|vnd\.oasis\.opendocument)\.[a-z.\-]+$")
_OLE = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})
_TEXTS = frozenset({"text/csv", "text/markdown", "text/calendar", "text/vcard", "application/json"})
_BINARY = frozenset(range(0x20)) - frozenset(b"\t\n\r\f\x1b")
_UNSAFE = re.compile(r'[<>:"/\\|?*]')


def sniff(head: bytes, claimed: str) -> str:
    """Return the media type of a file that begins with `head` (its first 512 bytes, or all of it).

    `claimed` decides only between kinds that begin alike: office documents are zip files, CSV is text.
    """
    claimed = claimed.partition(";")[0].strip().lower()
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] == b"ftyp":
        return _FTYP.get(head[8:12], "video/mp4")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return claimed if _ZIPPED.match(claimed) else "application/zip"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return claimed if claimed in _OLE else UNKNOWN
    if _is_text(head):
        return claimed if claimed in _TEXTS else TEXT
    return UNKNOWN


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if _BINARY & set(head):
        return False
    try:
        # The last character may be cut in the middle.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def harmless_name(name: str, max_chars: int = 120) -> str:
    """Return a file name without folders, controls, invisible or direction-changing characters; never empty.

    The ending is kept when the name is cut.
    """
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(c for c in last if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    plain = _UNSAFE.sub("_", seen).strip(". ")
    if len(plain) > max_chars:
        ending = PurePosixPath(plain).suffix[:16]
        plain = plain[: max_chars - len(ending)].rstrip(". ") + ending
    return plain or "file"
