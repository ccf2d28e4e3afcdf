"""Traps that others fell into, each with the tests that guard us: in the trap's own words, by the tests' names.

A guard that is renamed or removed is missed here. Traps that nothing else guards have their tests in this file.
"""

import ast
import functools

import pytest

from bridge.fakes.store import MemoryStore
from bridge.grounding import agent_turn
from tests.adapters.directline.server import running
from tests.bridge.stories import DANA, Story
from tests.settings import ROOT

SLACK = "tests/adapters/slack"
TRAPS: dict[str, tuple[str, ...]] = {
    "A slash command cannot be used inside a thread, and its payload names no thread": (
        "tests/adapters/sandbox/test_slack_bolt.py::test_slack_refuses_commands_in_threads",
        f"{SLACK}/test_acting.py::test_the_command_with_a_ticket_asks_about_it",
        f"{SLACK}/test_acting.py::test_the_command_without_a_ticket_lets_choose",
        "tests/journeys/test_main_job.py::test_a_chat_goes_to_a_thread_and_comes_back",
    ),
    "About one message a second per channel, not per thread": (
        "tests/adapters/sandbox/test_slack_api.py::test_a_channel_takes_about_one_post_a_second",
        "tests/bridge/test_courier.py::test_a_channel_takes_one_post_per_pause",
        "tests/contracts/store_contract.py::test_a_resting_channel_holds_posts_back",
    ),
    "Listeners run after the acknowledgement: what they fail to keep is lost for good": (
        f"{SLACK}/test_signature.py::test_a_signed_event_is_kept_before_it_is_acknowledged",
        f"{SLACK}/test_sockets.py::test_what_is_not_acknowledged_comes_again",
    ),
    "A listener that raises is answered with 200": (
        f"{SLACK}/test_signature.py::test_what_could_not_be_kept_is_not_acknowledged",
        f"{SLACK}/test_hearing.py::test_what_the_store_could_not_keep_comes_again",
    ),
    "Slack promises no order, and handlers finish in another one": (
        "tests/bridge/test_order.py::test_those_that_arrive_within_the_window_go_by_slacks_time",
        "tests/bridge/test_order.py::test_a_slow_one_is_not_overtaken",
        f"{SLACK}/test_hearing.py::test_a_slow_file_does_not_let_the_next_message_overtake",
    ),
    "A repeat may carry another event id": (
        f"{SLACK}/test_hearing.py::test_a_message_delivered_again_under_another_id_comes_in_once",
        "tests/journeys/test_edges.py::test_repeats_have_one_effect_and_forgeries_none",
    ),
    "Posts under a customer's name come back without a user, and their changes slip through the filter of one's own": (
        f"{SLACK}/test_wire.py::test_what_is_not_an_operators_is_dropped",
        f"{SLACK}/test_wire.py::test_our_own_post_is_known_by_either_mark",
    ),
    "The SDK sends a post once more after a dropped connection, which doubles it": (
        f"{SLACK}/test_desk.py::test_each_fault_is_an_outcome",
    ),
    "The SDK does not wait out a 429 by itself": (
        f"{SLACK}/test_desk.py::test_a_rate_limit_names_its_time_and_the_channel",
        "tests/journeys/test_edges.py::test_one_failing_answer_of_slack_loses_and_doubles_nothing",
    ),
    "Converters to mrkdwn leave <!channel> and <@U..> alive, and one makes them from escaped text": (
        f"{SLACK}/test_render.py::test_customers_words_are_inert_and_whole",
        f"{SLACK}/test_render.py::test_the_agents_markdown_is_inert",
        f"{SLACK}/test_render.py::test_names_and_files_cannot_carry_anything",
    ),
    'A slash command whose text holds the word "payload" is lost over HTTP': (
        f"{SLACK}/test_signature.py::test_a_slash_command_may_speak_of_a_payload",
        f"{SLACK}/test_signature.py::test_a_form_is_read_as_a_form",
    ),
    "Reading threads may be limited to one request a minute: nothing may be rebuilt from Slack": (
        f"{SLACK}/test_sockets.py::test_rationed_reading_is_tried_again_in_time",
        f"{SLACK}/test_desk.py::test_reading_back_may_be_refused",
        "tests/bridge/test_courier.py::test_where_the_thread_cannot_be_read_people_are_asked_too",
    ),
    "A typing indicator works in ordinary threads, and is rationed": (
        f"{SLACK}/test_desk.py::test_typing_shows_and_is_rationed",
    ),
    "A deferred SQLite transaction that reads before it writes fails when another one wrote in between": (
        "tests/adapters/store/test_sqlite_faults.py::test_two_processes_may_share_a_file",
        "tests/adapters/store/test_sqlite_faults.py::test_a_lock_held_too_long_is_named",
    ),
    "A full disk rolls the whole group back, and later commits raise nothing": (
        "tests/adapters/store/test_sqlite_faults.py::test_on_a_full_disk_the_whole_group_fails",
        "tests/adapters/store/test_sqlite_faults.py::test_what_is_acknowledged_is_kept_however_full_the_disk",
        "tests/adapters/store/test_sqlite_faults.py::test_if_the_transaction_is_gone_nobody_is_acknowledged",
    ),
    "Queues that order by whole seconds deliver what was queued within one of them in any order": (
        "tests/contracts/store_contract.py::test_a_claim_offers_what_waits_in_order",
        "tests/contracts/store_contract.py::test_turns_are_claimed_oldest_first_and_once",
        "tests/bridge/test_courier.py::test_what_waits_leaves_together_in_order",
    ),
    "Compressed sockets cost each window a quarter of a megabyte": (
        "tests/test_traps.py::test_a_widgets_socket_is_not_compressed",
    ),
    "One's own post is seen before the call that made it returns": (
        "tests/contracts/store_contract.py::test_an_echo_before_the_answer_changes_nothing_more",
        "tests/contracts/store_contract.py::test_what_an_echo_has_settled_is_not_sent_again",
        "tests/bridge/test_courier.py::test_our_own_echo_settles_it_sooner",
    ),
    "A crash at any step between freezing a post and recording it": (
        "tests/bridge/test_courier.py::test_a_courier_that_dies_while_sending_loses_and_doubles_nothing",
        "tests/bridge/test_courier.py::test_a_crash_after_the_notice_and_before_the_burial_says_it_once",
        "tests/contracts/store_contract.py::test_a_crash_after_begin_send_is_looked_at_later",
        "tests/simulation/test_simulation.py::test_each_point_can_be_the_end",
        "tests/journeys/test_edges.py::test_what_was_acknowledged_survives_a_kill_while_slack_is_down",
    ),
    "A line of the customer that is still on its way to the thread when the conversation is returned": (
        "tests/test_traps.py::test_a_line_on_its_way_at_the_return_is_in_the_briefing",
        "tests/model/test_model.py::test_each_mistake_is_caught",
    ),
    "The agent's words of before a handoff, after it was returned": (
        "tests/model/test_model.py::test_no_history_within_the_bounds_breaks_an_invariant",
        "tests/journeys/test_takeover_race.py::test_silence_from_the_moment_of_a_takeover",
    ),
}
"""PostgreSQL's own traps (a stale snapshot beside SKIP LOCKED, NOTIFY at each commit) come with its store."""


@functools.cache
def named_in(path: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the tests of a file by name; those of a contract stand in its classes."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {one.name: one for one in functions if one.name.startswith("test_")}


@pytest.mark.parametrize("trap", TRAPS)
def test_each_trap_is_guarded(trap: str) -> None:
    """Every test that is named as a guard exists, asserts something, and is never skipped."""
    assert TRAPS[trap]
    for guard in TRAPS[trap]:
        path, name = guard.split("::")
        found = named_in(path).get(name)
        assert found is not None, f"{guard} is gone: name the test that guards against this now"
        marks = " ".join(ast.unparse(one) for one in found.decorator_list)
        assert "skip" not in marks
        assert "xfail" not in marks
        assert len(found.body) > 1, f"{guard} does nothing"


def test_contracts_that_guard_are_kept_by_every_store() -> None:
    """A contract guards only where it is run: the memory store and SQLite's two executors subclass it."""
    users = ("tests/bridge/test_fakes_store.py", "tests/adapters/store/test_sqlite_inline.py")
    for path in (*users, "tests/adapters/store/test_sqlite_writer.py"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "(StoreContract)" in text, path
        assert "(LaneContract)" in text, path


async def test_a_widgets_socket_is_not_compressed() -> None:
    """A browser offers permessage-deflate; the server declines, since each window would cost zlib's buffers."""
    async with running() as bridge:
        chat = await bridge.chat()
        async with bridge.http.ws_connect(chat.opened["streamUrl"], compress=15) as stream:
            assert stream.compress == 0


async def test_a_line_on_its_way_at_the_return_is_in_the_briefing() -> None:
    """What the customer wrote and no thread shows yet is among the lines that the agent reads on return."""
    story = Story(store=MemoryStore())
    await story.opens()
    await story.escalates()
    await story.card_arrives()
    await story.takes(DANA)
    await story.says("wait, one more thing")
    assert any(out.n is not None for out in await story.unsent()), "nothing was on its way"
    await story.returns(DANA, note="solved")
    turn = await story.turn()
    assert turn is not None

    read = await story.look(lambda tx: agent_turn(tx, turn))

    assert read.briefing is not None
    assert [one["text"] for one in read.briefing["human_turns"]] == ["wait, one more thing"]
