"""``python -m adapters.sandbox slack``: run a sandbox by itself. ``--help`` names every option."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence

from adapters.sandbox.slack.server import run_slack
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and serve until interrupted. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sandbox", description="A local workspace for tests.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    slack = kinds.add_parser("slack", help="a local Slack workspace")
    slack.add_argument("--host", default="127.0.0.1")
    slack.add_argument("--port", type=int, default=0, help="0 takes a free one")
    slack.add_argument("--app-url", help="where events and interactions go; without it the app uses Socket Mode")
    slack.add_argument("--signing-secret", default=SIGNING_SECRET)
    slack.add_argument("--bot-token", default=BOT_TOKEN)
    slack.add_argument("--app-token", default=APP_TOKEN)
    slack.add_argument("--posts-per-s", type=float, default=1.0, help="chat.postMessage per channel; 0: no limit")
    slack.add_argument("--post-burst", type=int, default=4)
    slack.add_argument("--retry-scale", type=float, default=1.0, help="multiplies Slack's waits of 0, 60 and 300 s")
    slack.add_argument("--more-channels", type=int, default=0, help="so many beside the usual ones")
    options = parser.parse_args(arguments)
    serving = run_slack(
        options.host,
        options.port,
        app_url=options.app_url,
        signing_secret=options.signing_secret,
        bot_token=options.bot_token,
        app_token=options.app_token,
        posts_per_s=options.posts_per_s,
        post_burst=options.post_burst,
        retry_scale=options.retry_scale,
        more_channels=options.more_channels,
    )
    asyncio.run(_until_interrupted(serving))
    return 0


async def _until_interrupted(work: Coroutine[object, object, None]) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


if __name__ == "__main__":
    raise SystemExit(main())
