"""Telling files apart, and names that harm nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media import UNKNOWN, harmless_name, sniff

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    "head, claimed, media_type",
    [
        (b"\x89PNG\r\n\x1a\n...", "", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/svg+xml", "image/jpeg"),
        (b"GIF89a", "", "image/gif"),
        (b"%PDF-1.7", "text/plain", "application/pdf"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "image/webp"),
        (b"RIFF\x00\x00\x00\x00ACON", "", UNKNOWN),
        (b"\x00\x00\x00\x18ftypheic", "", "image/heic"),
        (b"\x00\x00\x00\x18ftypisom", "", "video/mp4"),
        (b"PK\x03\x04....", DOCX, DOCX),
        (b"PK\x03\x04....", "text/html", "application/zip"),
        (OLE, "application/msword", "application/msword"),
        (OLE, "text/html", UNKNOWN),
        (b"a,b\n1,2\n", "text/csv; charset=utf-8", "text/csv"),
        (b"{}", "application/json", "application/json"),
        (b"<svg onload=alert(1)>", "image/svg+xml", "text/plain"),
        (b"<!DOCTYPE html>", "text/html", "text/plain"),
        ("Grüße".encode(), "", "text/plain"),
        (b"\xff\xfeh\x00i\x00", "", "text/plain"),
        (b"MZ\x90\x00\x03", "image/png", UNKNOWN),
        (b"\xc3", "", UNKNOWN),
        (("x" * 511 + "é").encode()[:512], "", "text/plain"),
        (b"", "image/png", "text/plain"),
    ],
)
def test_a_file_is_what_it_begins_with(head: bytes, claimed: str, media_type: str) -> None:
    """The first bytes decide; the claim only where kinds begin alike."""
    assert sniff(head, claimed) == media_type


@pytest.mark.parametrize(
    "name, harmless",
    [
        ("invoice.pdf", "invoice.pdf"),
        ("C:\\Users\\x\\a.txt", "a.txt"),
        ("../../.ssh/id", "id"),
        ("..", "file"),
        ("", "file"),
        ('a<b>:"c|?*.txt', "a_b___c___.txt"),
        ("\u202etxt.exe", "txt.exe"),
        ("Über uns 🙂.png", "Über uns 🙂.png"),
        ("x" * 300 + ".jpeg", "x" * 115 + ".jpeg"),
    ],
)
def test_a_name_harms_nobody(name: str, harmless: str) -> None:
    """Only the last part stays, without what tricks people or programs."""
    assert harmless_name(name) == harmless


@given(st.text())
def test_every_name_becomes_one_that_can_be_shown(name: str) -> None:
    """Whatever is sent: short, not empty, one line, no folder, and the same when done again."""
    done = harmless_name(name)

    assert 0 < len(done) <= 120
    assert not set(done) & set('/\\\n\r\0<>"')
    assert harmless_name(done) == done
