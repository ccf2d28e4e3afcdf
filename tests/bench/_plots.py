"""The figures as bars, in SVG that reads on light and on dark pages alike.

A bar whose figure is missing is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, LABEL_WIDTH, BAR_HEIGHT, GAP, HEAD = 760, 300, 20, 8, 34
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
.ours { fill: #0969da } .other { fill: #8c959f }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .ours { fill: #58a6ff } .other { fill: #6e7681 } }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One figure by its name in `latest.json`. `ours`: drawn in colour."""

    label: str
    figure: str
    ours: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Bars on one scale, from zero."""

    head: str
    bars: tuple[Bar, ...]


def _ours(label: str, figure: str) -> Bar:
    return Bar(label=label, figure=figure, ours=True)


def _other(label: str, figure: str) -> Bar:
    return Bar(label=label, figure=figure)


PLOTS: Mapping[str, tuple[Group, ...]] = {
    "throughput": (
        Group(
            head="Whole path on one core, lines a second (more is better)",
            bars=(
                _ours("handoff-bridge, every line on the disk", "path_events_per_s"),
                _other("plain slack-bolt, stores nothing", "bolt_plain_events_per_s"),
                _other("plain slack-bolt, our half-and-half load", "bolt_halves_events_per_s"),
                _other("bare aiohttp, a row on the disk", "aiohttp_sqlite_events_per_s"),
            ),
        ),
        Group(
            head="Durable relay in the store, lines a second (more is better)",
            bars=(
                _ours("handoff-bridge on SQLite", "sqlite_burst_lines_per_s"),
                _other("aiosqlite, a commit per step", "naive_burst_lines_per_s"),
                _ours("handoff-bridge on PostgreSQL", "postgres_burst_lines_per_s"),
                _other("procrastinate with a lock", "procrastinate_burst_lines_per_s"),
            ),
        ),
    ),
    "latency": (
        Group(
            head="Store, accepted to settled at 300 lines a second, p99 in ms (less is better)",
            bars=(_ours("SQLite", "sqlite_p99_ms_at_300"), _ours("PostgreSQL", "postgres_p99_ms_at_300")),
        ),
        Group(
            head="Whole path at full load, 50 in flight, p99 in ms (less is better)",
            bars=(
                _ours("handoff-bridge", "path_p99_ms"),
                _other("plain slack-bolt, stores nothing", "bolt_plain_p99_ms"),
                _other("bare aiohttp, a row on the disk", "aiohttp_sqlite_p99_ms"),
            ),
        ),
    ),
    "pacing": (
        Group(
            head="60 live conversations at one post a second and channel, p99 in s (less is better)",
            bars=(
                _ours("first line of a conversation, six channels", "pacing_60_first_line_p99_s"),
                _ours("first line of a conversation, one channel", "pacing_60_one_channel_first_line_p99_s"),
                _ours("all lines, six channels", "pacing_60_sharded_p99_s"),
                _ours("all lines, one channel", "pacing_60_one_channel_p99_s"),
                _ours("all lines, one channel, steady", "pacing_60_steady_p99_s"),
            ),
        ),
    ),
}


def draw(figures: Mapping[str, float], folder: Path) -> list[Path]:
    """Write one file per plot that has figures; return them."""
    written = []
    for name, groups in PLOTS.items():
        filled = [group for group in groups if any(bar.figure in figures for bar in group.bars)]
        if filled:
            path = folder / f"{name}.svg"
            path.write_text(svg(filled, figures), encoding="utf-8")
            written.append(path)
    return written


def svg(groups: Sequence[Group], figures: Mapping[str, float]) -> str:
    """Return these groups one below the other."""
    parts: list[str] = []
    y = 0
    for group in groups:
        bars = [bar for bar in group.bars if bar.figure in figures]
        parts.append(f'<text class="head" x="0" y="{y + 20}">{escape(group.head)}</text>')
        y += HEAD
        # Room for the number to the right of the longest bar.
        longest = max(figures[bar.figure] for bar in bars) or 1
        for bar in bars:
            figure = figures[bar.figure]
            length = max(1.0, figure / longest * (WIDTH - LABEL_WIDTH - 80))
            kind, middle = "ours" if bar.ours else "other", y + BAR_HEIGHT - 5
            parts.append(f'<text x="{LABEL_WIDTH - 10}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>')
            parts.append(
                f'<rect class="{kind}" x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="2"/>'
            )
            shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:,.1f}"
            parts.append(f'<text x="{LABEL_WIDTH + length + 8:.1f}" y="{middle}">{shown}</text>')
            y += BAR_HEIGHT + GAP
        y += 2 * GAP
    told = ". ".join(group.head for group in groups)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
        f"<title>{escape(told)}</title><style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )
