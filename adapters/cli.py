"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer

from bridge.errors import NotFound, SettingsError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bridge.ids import SiteId
    from bridge.letters import DeadLetters

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The file to read instead of handoff.toml.", show_default=False),
]

app = typer.Typer(
    name="handoff-bridge",
    help="Moves a whole customer conversation from an AI agent to a person in Slack and back.",
    no_args_is_help=True,
    add_completion=False,
    # A pretty traceback shows local variables, and those hold tokens.
    pretty_exceptions_enable=False,
)
sandbox = typer.Typer(no_args_is_help=True, help="Local stand-ins for vendors, for demos and tests.")
manifest = typer.Typer(no_args_is_help=True, help="Write what a workspace's admin uploads.")
app.add_typer(sandbox, name="sandbox")
app.add_typer(manifest, name="manifest")
agent = typer.Typer(no_args_is_help=True, help="Your AI agent.")
app.add_typer(agent, name="agent")
letters = typer.Typer(no_args_is_help=True, help="Posts that were given up: list them, send them again, forget them.")
app.add_typer(letters, name="dead-letters")


def main() -> NoReturn:
    """Run the command line. Wrong settings end it with status 2 and one line for each."""
    try:
        app()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- this is the program's own word to its user
        raise SystemExit(2) from None
    raise SystemExit(0)


def say(text: str) -> None:
    """Print one line for people or pipes, as it is."""
    typer.echo(text)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False) -> None:
    """Hold what belongs to no command."""
    if show:
        from importlib.metadata import version as installed

        say(installed("handoff-bridge"))
        raise typer.Exit


@app.command()
def serve(config: ConfigOption = None) -> None:
    """Run the bridge until it is stopped."""
    import gc

    # What loads at start is never garbage: to look for some takes a sixth of the time to the first answer.
    gc.disable()
    from bridge.settings import load

    settings = load(file=config, for_="serve")
    if settings.ignored:
        typer.echo(f"passed over what Kubernetes set: {', '.join(settings.ignored)}", err=True)
    # After the settings: what is wrong with them is told before anything heavy loads.
    from adapters.app import run

    run(settings)


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the demo page on this machine; 0 picks a free one.", min=0)] = 8080,
    agent: Annotated[str, typer.Option(help="Address of your own agent instead of the scripted one.")] = "",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Show the whole thing in one page, without any account."""
    from adapters.demo import run

    run(port=port, agent_url=agent, open_browser=browser)


@sandbox.command("slack")
def sandbox_slack(
    port: Annotated[int, typer.Option(help="Port on this machine; 0 picks a free one.", min=0)] = 0,
    app_url: Annotated[str, typer.Option(help="Where events go; without it the app uses Socket Mode.")] = "",
    posts_per_s: Annotated[float, typer.Option(help="Posts a second in one channel; 0: no limit.", min=0)] = 1.0,
) -> None:
    """Run a local Slack workspace. Its first line is a JSON object with its url."""
    from adapters.sandbox.__main__ import main as run

    words = ["slack", "--port", str(port), "--posts-per-s", str(posts_per_s)]
    raise typer.Exit(run([*words, *(["--app-url", app_url] if app_url else [])]))


@sandbox.command("teams")
def sandbox_teams(
    port: Annotated[int, typer.Option(help="Port on this machine; 0 picks a free one.", min=0)] = 0,
    endpoint: Annotated[str, typer.Option(help="The bot's messaging endpoint; it can be told later.")] = "",
    limits: Annotated[bool, typer.Option(help="Keep Teams' limits of calls.")] = True,
) -> None:
    """Run a local Teams team. Its first line is a JSON object with its url and what a bot must be told."""
    from adapters.sandbox.__main__ import main as run

    words = ["teams", "--port", str(port), *([] if limits else ["--no-limits"])]
    raise typer.Exit(run([*words, *(["--endpoint", endpoint] if endpoint else [])]))


@app.command()
def queues(
    envelope: Annotated[
        Path | None,
        typer.Argument(
            help="A handoff envelope as JSON, - for standard input; without it, a sample.", show_default=False
        ),
    ] = None,
    at: Annotated[
        str, typer.Option(help="Decide as at this time, as in 2026-11-23T09:00+01:00.", show_default="now")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Show the queues, and why an envelope goes where it goes."""
    from adapters import explain
    from adapters.wiring import directory
    from bridge.settings import load

    house = directory(load(file=config, for_="tool"))
    raw = explain.SAMPLE if envelope is None else _read_json(envelope)
    explain.show(house, raw, explain.moment(at))


def _read_json(path: Path) -> Any:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: is not JSON: {error}") from None


@app.command()
def settings() -> None:
    """Print every environment variable with its default and meaning, as a Markdown table."""
    from adapters.explain import settings_table

    typer.echo(settings_table(), nl=False)


@app.command()
def doctor(
    *,
    config: ConfigOption = None,
    timeout_s: Annotated[float, typer.Option(help="How long one check may take.", min=1)] = 10,
    post: Annotated[
        bool, typer.Option("--post", help="Also post a labelled test thread, wait for its echo, and remove it.")
    ] = False,
    person_s: Annotated[
        float, typer.Option(help="With --post: how long to wait for a person's answer in Teams.", min=0)
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check settings, Slack or Teams, the clock and the public address, each with its remedy.

    Ends with status 1 if anything is bad. Posts nothing without --post.
    """
    from adapters import manifest_slack as maker
    from adapters.doctor import clinic
    from adapters.doctor.slack import Scopes
    from bridge.settings import load

    settings = load(file=config, for_="serve")
    scopes = Scopes(required=frozenset(maker.SCOPES), optional=maker.OPTIONAL_SCOPES)
    wishes = clinic.Wishes(timeout_s=timeout_s, post=post, person_s=person_s, json=as_json)
    if not asyncio.run(clinic.examine(settings, scopes, wishes)):
        raise typer.Exit(1)


@manifest.command("slack")
def manifest_slack(
    mode: Annotated[Literal["socket", "http"], typer.Option(help="How Slack and the bridge meet.")] = "socket",
    form: Annotated[
        Literal["yaml", "json"], typer.Option("--format", help="What Slack's page is to be given.")
    ] = "yaml",
    output: Annotated[Path | None, typer.Option(help="The file to write.", show_default="standard output")] = None,
    base_url: Annotated[str, typer.Option(help="The bridge's public https:// address, for --mode http.")] = "",
    command: Annotated[str, typer.Option(help="The slash command; the last app installed wins a name.")] = "/return",
) -> None:
    """Write the manifest of the Slack app."""
    from adapters import manifest_slack as maker

    text = maker.dump(maker.manifest(mode=mode, base_url=base_url, command=command), form)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--output: {output} cannot be written: {error.strerror}") from None
    say(f"wrote {output}")


@manifest.command("teams")
def manifest_teams(
    *,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("teams.zip"),
    app_id: Annotated[str, typer.Option(help="The bot's Microsoft App ID.", show_default="HANDOFF_TEAMS__APP_ID")] = "",
    slash: Annotated[bool, typer.Option(help="Offer the command in the / menu too (HANDOFF_TEAMS__SLASH).")] = False,
    release: Annotated[
        str, typer.Option("--version", help="The app's version; Teams takes a package again only with a higher one.")
    ] = "1.0.0",
    company: Annotated[str, typer.Option(help="Who offers the app, as its page says.")] = "Handoff bridge",
    website: Annotated[str, typer.Option(help="Your page about it, with privacy and terms.")] = "https://example.com",
    config: ConfigOption = None,
) -> None:
    """Write the Teams app package: manifest and icons in a zip."""
    from adapters import manifest_teams as maker
    from bridge.settings import load

    section = load(file=config, for_="tool").teams
    document = maker.manifest(
        app_id=app_id or section.app_id,
        slash=slash or section.slash,
        version=release,
        company=company,
        website=website,
    )
    try:
        output.write_bytes(maker.package(document))
    except OSError as error:
        raise SettingsError(f"--output: {output} cannot be written: {error.strerror}") from None
    say(f"wrote {output}")


@app.command()
def migrate(config: ConfigOption = None) -> None:
    """Bring the database up to date, as `serve` does at its start."""
    from adapters.store.opening import open_store, shown
    from bridge.settings import load

    settings = load(file=config, for_="tool")

    async def work() -> None:
        await (await open_store(settings.database_url)).close()

    asyncio.run(work())
    say(f"{shown(settings.database_url)} is up to date")


KeysArgument = Annotated[list[str] | None, typer.Argument(help="Keys that `list` shows.", show_default=False)]
AllOption = Annotated[bool, typer.Option("--all", help="Every one of them.")]


@letters.command("list")
def letters_list(config: ConfigOption = None) -> None:
    """Show them, the oldest first; never what was said."""
    from rich.console import Console
    from rich.table import Table

    found = _with_letters(config, lambda letters, site: letters.oldest(site))
    table = Table("key", "ticket", "what", "since (UTC)", "reason", "may have arrived")
    for letter in found:
        maybe = "yes" if letter.maybe_sent else "no"
        table.add_row(letter.key, letter.ticket, letter.kind, letter.since, letter.reason, maybe)
    Console(highlight=False, markup=False).print(table if found else "There is none.")


@letters.command("retry")
def letters_retry(keys: KeysArgument = None, every: AllOption = False, config: ConfigOption = None) -> None:
    """Send them again, at the end of their threads."""
    say(f"{_decide(keys, every, config, 'retry')} will be sent again")


@letters.command("drop")
def letters_drop(keys: KeysArgument = None, every: AllOption = False, config: ConfigOption = None) -> None:
    """Forget them: they arrived, or are not needed."""
    say(f"{_decide(keys, every, config, 'drop')} forgotten")


def _decide(keys: list[str] | None, every: bool, config: Path | None, what: Literal["retry", "drop"]) -> int:
    if bool(keys) == every:
        raise SettingsError("name the keys that `handoff-bridge dead-letters list` shows, or say --all")
    chosen = keys or []
    try:
        if what == "retry":
            return _with_letters(config, lambda letters, site: letters.retry(site, chosen))
        return _with_letters(config, lambda letters, site: letters.drop(site, chosen))
    except NotFound as error:
        raise SettingsError(f"{error}; see: handoff-bridge dead-letters list") from None


def _with_letters(config: Path | None, work: "Callable[[DeadLetters, SiteId], Awaitable[T]]") -> T:
    """Open the store that the settings name, work, close it. A bridge that runs on the same file is not disturbed."""
    from adapters.clock import SystemClock
    from adapters.store.opening import open_store
    from bridge.ids import SiteId
    from bridge.letters import DeadLetters
    from bridge.settings import load

    settings = load(file=config, for_="tool")

    async def opened() -> T:
        store = await open_store(settings.database_url)
        try:
            return await work(DeadLetters(store, SystemClock()), SiteId(settings.site))
        finally:
            await store.close()

    return asyncio.run(opened())


@agent.command("check")
def agent_check(
    url: Annotated[str, typer.Argument(help="Where the agent takes turns.", show_default=False)],
    config: ConfigOption = None,
) -> None:
    """Prove that an agent keeps the contract, each finding with its remedy. HANDOFF_AGENT__SECRET signs the turns.

    Plays a made-up customer through about seven turns: point it at a test system.
    """
    from adapters.agents.check import Verdict, check
    from bridge.settings import load

    section = load(file=config, for_="tool").agent

    async def work() -> bool:
        fine = True
        secret = section.secret.get_secret_value() if section.secret else ""
        async for finding in check(url, secret, name=section.name):
            fine = fine and finding.verdict is not Verdict.FAILED
            say(f"{finding.verdict:6}  {finding.name}: {finding.detail}")
            if finding.remedy:
                say(f"        {finding.remedy}")
        return fine

    if not asyncio.run(work()):
        raise typer.Exit(1)


@app.command()
def schema(document: Annotated[Literal["envelope", "return", "turn"], typer.Argument(help="Which document.")]) -> None:
    """Print the JSON Schema of a document."""
    from bridge.envelope import HandoffEnvelope, ReturnNote

    if document == "turn":
        from adapters.agents.wire import turn_schema

        say(json.dumps(turn_schema(), indent=2))
        return
    model: type[BaseModel] = HandoffEnvelope if document == "envelope" else ReturnNote
    say(json.dumps(model.model_json_schema(), indent=2))
