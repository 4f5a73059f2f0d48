from hypothesis import given
from hypothesis import strategies as st

from consumer_service.lifecycle import FINAL, HELD, NEXT, State, Step, after_death, allows

CLOSED = {State.EDITED, State.DISCARDED, State.EXPIRED}

states = st.sampled_from(list(State))
steps = st.lists(st.sampled_from(list(Step)))


def walked(state, taken):
    for step in taken:
        state = NEXT.get((state, step), state)
    return state


@given(state=states, taken=steps)
def test_what_is_closed_stays_as_it_was_decided_whatever_is_tried(state, taken):
    end = walked(state, taken)

    assert state not in CLOSED or end is state


@given(taken=steps)
def test_a_replay_is_confirmed_only_after_it_was_begun(taken):
    end = walked(State.WAITING, taken)

    assert end is not State.REPLAYED or taken.index(Step.REPLAY) < len(taken) - 1 - taken[::-1].index(Step.CONFIRM)


@given(state=states)
def test_every_state_either_waits_for_somebody_or_may_be_purged(state):
    assert (state in FINAL) is not any((state, step) in NEXT for step in (Step.REPLAY, Step.DISCARD, Step.EDIT))


def test_what_may_still_be_worked_on_is_remembered():
    assert set(State) - CLOSED == HELD


@given(state=states, replays=st.integers(0, 5))
def test_the_copy_that_was_sent_back_last_waits_again_when_it_dies(state, replays):
    came_back = after_death(state, replays, replays)

    assert came_back is (State.WAITING if state in {State.REPLAYING, State.REPLAYED} else state)


@given(state=states, replays=st.integers(1, 5), behind=st.integers(1, 5))
def test_an_older_copy_that_dies_late_changes_nothing(state, replays, behind):
    assert after_death(state, replays, replays - behind) is state


@given(state=states, replays=st.integers(0, 5), ahead=st.integers(1, 5))
def test_a_copy_that_somebody_else_has_sent_back_since_waits_for_a_decision(state, replays, ahead):
    assert after_death(state, replays, replays + ahead) is State.WAITING


def test_each_step_knows_where_it_may_be_taken():
    assert allows(Step.REPLAY) == {State.WAITING, State.REPLAYING}
    assert allows(Step.DISCARD) == allows(Step.EDIT) == {State.WAITING}
