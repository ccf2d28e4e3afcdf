"""The log tells what happened and to whom, and never what was said or a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bridge import log

# Shaped like the real ones; put together here so that no scanner takes them for real.
CANARIES = {
    "bot token": "xoxb-" + "111-222-CANARYaaaa",
    "rotated token": "xoxe." + "xoxp-1-CANARYbbbb",
    "app token": "xapp-" + "1-A1-CANARYcccc",
    "webhook secret": "whsec_" + "CANARYddddAAAA==",
    "json web token": "eyJhbGciOiJIUzI1NiJ9." + "eyJDQU5BUlkiOiJlZWVlIn0.CANARYeeee",
    "stream address": "wss://x.example/stream?watermark=1&t=" + "CANARYffff",
    "header": "Authorization: Bearer " + "CANARYgggg",
    "database": "postgres://bridge:" + "CANARYhhhh@db/x",
    "response url": "https://hooks.slack.com/" + "actions/T1/CANARYiiii",
    "model key": "sk-" + "CANARYjjjjjjjjjjjjjjjj",
    "own secret": "a plain looking CANARYkkkk value",
}


@pytest.fixture(params=["json", "console"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(level="debug", form=request.param, secrets=[CANARIES["own secret"], ""], stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for name in ("bridge", "adapters"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.parametrize("canary", CANARIES)
def test_no_secret_reaches_the_log(written: io.StringIO, canary: str) -> None:
    """Whatever way a secret takes into a line: a field, a nested one, an event name, a vendor's line or a traceback."""
    value = CANARIES[canary]
    ours = log.get("bridge.somewhere")
    ours.info("call_failed", reason=value, nested={"deep": [value, {"deeper": value}]}, ids=(value,))
    ours.info("call_failed", token=value, app_token=value, client_secret=value, Authorization=value)
    ours.warning(f"bad name {value}")
    logging.getLogger("slack_bolt.App").warning("could not use %s", value)
    try:
        raise RuntimeError(f"with {value}")
    except RuntimeError:
        ours.exception("crashed")

    assert written.getvalue().count("\n") >= 5
    assert "CANARY" not in written.getvalue()
    assert log.REDACTED in written.getvalue()


def test_what_people_wrote_stays_out(written: io.StringIO) -> None:
    """Fields that hold prose are left out by name, also deep inside."""
    ours = log.get("bridge.somewhere")
    ours.info(
        "line_kept", conversation="cnv_1", text="my CANARY is ill", event_data={"summary": "CANARY"}, body=b"CANARY"
    )
    ours.info("line_kept", text_chars=17)

    assert "CANARY" not in written.getvalue()
    assert "cnv_1" in written.getvalue()
    assert "17" in written.getvalue()


def test_a_line_of_json_holds_name_level_time_and_ids() -> None:
    """A machine finds event, level, logger, UTC time and every id as a field; bound ids stay bound."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        log.configure(form="json", stream=stream)
        log.get("bridge.x").bind(conversation="cnv_1").info("handoff_opened", ticket="H-1001", epoch=2, late=None)
        log.get("bridge.x").debug("too_quiet")
        logging.getLogger("aiohttp.access").info("a vendor's chatter")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()

    [line] = [json.loads(text) for text in stream.getvalue().splitlines()]
    when = line.pop("timestamp")
    assert when.endswith("Z")
    assert line == {
        "event": "handoff_opened",
        "level": "info",
        "logger": "bridge.x",
        "conversation": "cnv_1",
        "ticket": "H-1001",
        "epoch": 2,
        "late": None,
    }
