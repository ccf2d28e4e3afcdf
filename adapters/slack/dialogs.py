"""Dialogs: opened while Slack's trigger lives, filled once they are ready, changed where they stand."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from adapters.slack import modals
from adapters.slack.calls import Json, SlackCalls
from adapters.slack.errors import CallFailed
from bridge import log as logs

log = logs.get("slack.dialogs")

SLOW = "Slack gave up waiting for the dialog. Please press again."

View = Json
Built = View | str
"""A dialog, or why there is none, in a sentence."""


class Dialogs:
    """What stands on people's screens until they close it."""

    def __init__(self, calls: SlackCalls) -> None:
        """Take the Web API."""
        self._calls = calls
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(
        self, trigger: str, title: str, build: Callable[[], Coroutine[Any, Any, Built]], *, may_say: bool
    ) -> str:
        """Open a dialog within the three seconds that Slack's trigger lives; fill it later if it is not ready yet.

        Returns a sentence instead where no dialog could be opened, or (`may_say`) where there is nothing to ask.
        """
        task = self._start(build())
        done, _ = await asyncio.wait({task}, timeout=self._calls.settings.modal_patience_s)
        built = task.result() if done else modals.loading(title)
        if isinstance(built, str):
            if may_say:
                return built
            built = modals.sentence(title, built)
        try:
            answer = await self._calls.write("views.open", {"trigger_id": trigger, "view": built})
        except CallFailed as failed:
            log.warning("dialog_not_opened", reason=failed.code)
            return SLOW
        if not done:
            self._start(self._fill(str((answer.get("view") or {}).get("id") or ""), title, task))
        return ""

    async def change(self, view: str, shown: View, state: str) -> None:
        """Show this in an open dialog, unless it is not any more as it was in this state (`hash`): then somebody has
        closed it, or something newer stands there
        (https://docs.slack.dev/surfaces/modals#handling_race_conditions). What was typed stays.
        """
        try:
            await self._calls.write("views.update", {"view_id": view, "view": shown, "hash": state})
        except CallFailed as failed:
            log.warning("dialog_not_changed", reason=failed.code)

    async def stop(self) -> None:
        """Finish dialogs that are being filled. May be called twice."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _fill(self, view: str, title: str, task: "asyncio.Task[Built]") -> None:
        built = await task
        shown = modals.sentence(title, built) if isinstance(built, str) else built
        try:
            await self._calls.write("views.update", {"view_id": view, "view": shown})
        except CallFailed as failed:
            log.warning("dialog_not_filled", reason=failed.code)

    def _start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
