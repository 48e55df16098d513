"""Work on a state that is revoked meanwhile ends without a fault; on one that is still held, it does not."""

import pytest

from shared.errors import FencedError, StateLostError
from shared.state.fenced import FencedState, StateKeys, unless_revoked

HELD = FencedState(StateKeys("n:{partition}:"), epoch=1, next_offset=None)


def test_who_still_holds_the_state_hears_that_it_was_fenced():
    with pytest.raises(FencedError), unless_revoked({0: HELD}, 0):
        raise FencedError("a newer owner")


def test_who_was_revoked_before_it_began_ends_quietly():
    with unless_revoked({}, 0):
        raise KeyError(0)


@pytest.mark.parametrize("error", [FencedError("a newer owner"), KeyError(0)])
def test_who_was_revoked_meanwhile_ends_quietly(error):
    states = {0: HELD}
    with unless_revoked(states, 0):
        del states[0]
        raise error


def test_who_took_it_over_again_meanwhile_ends_quietly():
    states = {0: HELD}
    with unless_revoked(states, 0):
        states[0] = FencedState(HELD.keys, epoch=2, next_offset=None)
        raise FencedError("we ourselves")


def test_a_lost_state_is_told_whoever_holds_it():
    with pytest.raises(StateLostError), unless_revoked({}, 0):
        raise StateLostError("older")
