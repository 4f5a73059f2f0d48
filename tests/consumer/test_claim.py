from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer_service.claim import CRASH_LIMIT, DEAD_AFTER, Remembered, Status, Verdict, judge
from consumer_service.task import Guarantee

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OURS, THEIRS = b"o" * 16, b"t" * 16
AT_LEAST_ONCE, AT_MOST_ONCE, TRANSACTIONAL = Guarantee.AT_LEAST_ONCE, Guarantee.AT_MOST_ONCE, Guarantee.TRANSACTIONAL

A_ROW = Remembered(
    body_hash=OURS, status=Status.STARTED, holder="other", starts=1, replays=0, holder_seen_at=NOW, now=NOW
)
AN_ORPHAN = replace(A_ROW, holder_seen_at=None)

ROWS = st.builds(
    Remembered,
    body_hash=st.sampled_from([OURS, THEIRS]),
    status=st.sampled_from(Status),
    holder=st.just("other"),
    starts=st.integers(1, 5),
    replays=st.integers(0, 2),
    holder_seen_at=st.none() | st.timedeltas(timedelta(0), 3 * DEAD_AFTER).map(lambda ago: NOW - ago),
    now=st.just(NOW),
)
CIRCUMSTANCES = {
    "guarantee": st.sampled_from(Guarantee),
    "replays": st.integers(0, 2),
    "is_mine": st.booleans(),
    "alone": st.booleans(),
}


def verdict(row, guarantee=AT_LEAST_ONCE, *, replays=0, is_mine=False, alone=False):
    return judge(row, OURS, guarantee, replays=replays, is_mine=is_mine, alone=alone)


@pytest.mark.parametrize("guarantee", Guarantee)
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (replace(A_ROW, status=Status.DONE), Verdict.DONE),
        (replace(A_ROW, status=Status.WAITING), Verdict.GRANTED),
        (A_ROW, Verdict.HELD),
        (replace(A_ROW, body_hash=THEIRS), Verdict.CONFLICT),
        (replace(A_ROW, body_hash=THEIRS, status=Status.DONE), Verdict.CONFLICT),
    ],
)
def test_every_guarantee_gets_this_verdict(row, guarantee, expected):
    assert verdict(row, guarantee) is expected


@pytest.mark.parametrize(
    ("guarantee", "starts", "alone", "expected"),
    [
        (AT_LEAST_ONCE, 1, False, Verdict.SUSPECT),
        (AT_LEAST_ONCE, 1, True, Verdict.GRANTED),
        (AT_LEAST_ONCE, CRASH_LIMIT - 1, True, Verdict.GRANTED),
        (AT_LEAST_ONCE, CRASH_LIMIT, False, Verdict.CRASH_LOOP),
        (AT_LEAST_ONCE, CRASH_LIMIT, True, Verdict.CRASH_LOOP),
        (TRANSACTIONAL, 1, False, Verdict.SUSPECT),
        (TRANSACTIONAL, CRASH_LIMIT, True, Verdict.CRASH_LOOP),
        (AT_MOST_ONCE, 1, False, Verdict.AMBIGUOUS),
        (AT_MOST_ONCE, 1, True, Verdict.AMBIGUOUS),
    ],
)
def test_what_a_dead_worker_held_is_judged_by_guarantee_and_by_how_many_died(guarantee, starts, alone, expected):
    assert verdict(replace(AN_ORPHAN, starts=starts), guarantee, alone=alone) is expected


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (timedelta(0), Verdict.HELD),
        (DEAD_AFTER - timedelta(seconds=1), Verdict.HELD),
        (DEAD_AFTER, Verdict.SUSPECT),
        (None, Verdict.SUSPECT),
    ],
)
def test_a_worker_holds_its_rows_until_it_leaves_or_was_not_seen_for_twenty_seconds(ago, expected):
    row = replace(A_ROW, holder_seen_at=None if ago is None else NOW - ago)

    assert verdict(row) is expected


def test_times_without_a_zone_are_compared_as_sqlite_gives_them():
    naive = NOW.replace(tzinfo=None)

    assert verdict(replace(A_ROW, holder_seen_at=naive, now=naive)) is Verdict.HELD


@pytest.mark.parametrize("guarantee", Guarantee)
def test_a_worker_starts_again_what_it_holds_and_does_not_work_on(guarantee):
    assert verdict(A_ROW, guarantee, is_mine=True) is Verdict.GRANTED


@pytest.mark.parametrize("guarantee", [AT_LEAST_ONCE, TRANSACTIONAL])
def test_what_is_dead_is_started_again_because_only_a_way_back_from_dead_letters_brings_it(guarantee):
    assert verdict(replace(A_ROW, status=Status.DEAD), guarantee) is Verdict.GRANTED


@pytest.mark.parametrize(("replays", "expected"), [(1, Verdict.AMBIGUOUS), (2, Verdict.GRANTED)])
@pytest.mark.parametrize("row", [replace(A_ROW, status=Status.DEAD), AN_ORPHAN])
def test_what_must_not_be_repeated_is_started_again_only_by_a_newer_replay(row, replays, expected):
    row = replace(row, replays=1)

    assert verdict(row, AT_MOST_ONCE, replays=replays, alone=True) is expected


@pytest.mark.parametrize(("status", "expected"), [(Status.STARTED, 3), (Status.WAITING, 1), (Status.DEAD, 1)])
def test_starts_are_counted_until_one_of_them_has_an_end(status, expected):
    assert replace(A_ROW, status=status, starts=2).next_starts == expected


@given(row=ROWS, **CIRCUMSTANCES)
def test_another_body_under_the_same_id_is_never_worked_on(row, guarantee, replays, is_mine, alone):
    answer = judge(row, OURS, guarantee, replays=replays, is_mine=is_mine, alone=alone)

    assert (answer is Verdict.CONFLICT) == (row.body_hash == THEIRS)


@given(row=ROWS, **CIRCUMSTANCES)
def test_what_is_done_or_in_living_hands_is_never_granted(row, guarantee, replays, is_mine, alone):
    in_living_hands = row.status is Status.STARTED and row.holder_is_alive and not is_mine

    answer = judge(row, OURS, guarantee, replays=replays, is_mine=is_mine, alone=alone)

    assert answer is not Verdict.GRANTED or not (row.status is Status.DONE or in_living_hands)


@pytest.mark.slow
@given(row=ROWS, **CIRCUMSTANCES)
def test_an_effect_that_may_have_happened_is_repeated_only_where_the_task_allows_it(
    row, guarantee, replays, is_mine, alone
):
    may_have_happened = row.status is Status.DEAD or (row.status is Status.STARTED and not is_mine)

    answer = judge(row, OURS, guarantee, replays=replays, is_mine=is_mine, alone=alone)

    if guarantee is AT_MOST_ONCE and may_have_happened and replays <= row.replays:
        assert answer is not Verdict.GRANTED
