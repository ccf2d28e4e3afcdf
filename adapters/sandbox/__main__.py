"""``python -m adapters.sandbox slack|teams``: run a sandbox by itself. ``--help`` names every option."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence

from adapters.sandbox.slack.server import run_slack
from adapters.sandbox.slack.settings import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from adapters.sandbox.teams.settings import APP_PASSWORD


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and serve until interrupted. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sandbox", description="A local workspace for tests.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    _add_slack(kinds.add_parser("slack", help="a local Slack workspace"))
    _add_teams(kinds.add_parser("teams", help="a local Teams team"))
    options = parser.parse_args(arguments)
    asyncio.run(_until_interrupted(_teams(options) if options.kind == "teams" else _slack(options)))
    return 0


def _add_slack(slack: argparse.ArgumentParser) -> None:
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


def _add_teams(teams: argparse.ArgumentParser) -> None:
    teams.add_argument("--host", default="127.0.0.1")
    teams.add_argument("--port", type=int, default=0, help="0 takes a free one")
    teams.add_argument(
        "--endpoint", default="", help="the bot's messaging endpoint, as in http://127.0.0.1:8080/api/messages"
    )
    teams.add_argument("--app-password", default=APP_PASSWORD)
    teams.add_argument("--retry-after-s", type=float, nargs="*", default=[1.0, 5.0], help="waits before it comes again")
    teams.add_argument("--no-limits", action="store_true", help="without Teams' limits of calls")
    teams.add_argument("--more-channels", type=int, default=0, help="so many beside the usual ones")


def _slack(options: argparse.Namespace) -> Coroutine[object, object, None]:
    return run_slack(
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


def _teams(options: argparse.Namespace) -> Coroutine[object, object, None]:
    from adapters.sandbox.teams.server import run_teams

    return run_teams(
        options.host,
        options.port,
        endpoint=options.endpoint,
        app_password=options.app_password,
        more_channels=options.more_channels,
        retry_after_s=tuple(options.retry_after_s),
        limits=not options.no_limits,
    )


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
