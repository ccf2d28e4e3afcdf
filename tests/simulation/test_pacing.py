"""Pacing in virtual time: what the rules give sixty live conversations."""

import pytest

from tests.bench.pacing import CHURN_S, FOREVER_S, churn, steady, waits

SEED = 3


@pytest.mark.parametrize("channels, first_line_s, all_lines_s", [(6, 1.5, 8), (1, 2.5, 90)])
def test_conversations_that_come_and_go_are_seen_at_once(
    channels: int, first_line_s: float, all_lines_s: float
) -> None:
    """99 of 100 first lines and of all lines wait no longer than that, and hardly a line is still there in the end."""
    found = waits(churn(SEED), channels, CHURN_S)

    assert len(found.first) > 500
    assert found.first_p99_s() <= first_line_s
    assert found.p99_s() <= all_lines_s
    assert found.unsent_share() < 0.01


def test_one_channel_carries_sixty_conversations_for_an_hour() -> None:
    """99 of 100 lines wait at most a minute, though five times as many come as the channel takes posts."""
    found = waits(steady(SEED), 1, FOREVER_S)

    assert len(found.others) > 16_000
    assert found.p99_s() <= 60
    assert found.unsent == 0


def test_first_come_first_served_does_not_hold_it() -> None:
    """The same scenario without the rules: most lines never leave, so the targets are not met by chance."""
    found = waits(churn(SEED), 1, CHURN_S, fifo=True)

    assert found.first_p99_s() > 1000
    assert found.unsent_share() > 0.5


def test_a_card_that_is_a_post_of_its_own_costs_new_conversations_seconds() -> None:
    """Two posts for each new conversation: the line below the card comes a second later at least, and is not lost."""
    found = waits(churn(SEED), 6, CHURN_S, card_apart=True)

    assert min(found.first) >= 1000
    assert found.first_p99_s() <= 6
    assert found.p99_s() <= 8
