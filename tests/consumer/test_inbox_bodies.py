"""Two bodies under one id, which arrive together: neither is ever taken for the other."""

import pytest
from support.builders import a_user_created, an_envelope
from support.inboxes import an_assignment, done, waiting

from consumer_service.claim import Verdict

HELD, CONFLICT = Verdict.HELD, Verdict.CONFLICT


@pytest.fixture
def bodies():
    return [an_assignment(an_envelope(a_user_created(name=name), id="the same")) for name in ("Ann", "Bob")]


@pytest.mark.parametrize(("ended", "verdict"), [(done, Verdict.DONE), (waiting, Verdict.GRANTED)])
async def test_the_verdict_on_a_body_that_is_known_is_not_given_to_the_other(inbox, bodies, ended, verdict):
    known, other = bodies
    await inbox.start([known])
    await inbox.finish(ended(known))

    assert await inbox.start([other, known]) == [CONFLICT, HELD]
    assert await inbox.start([known, other]) == [verdict, HELD]


async def test_of_two_that_are_new_the_second_is_a_conflict_when_it_is_asked_for_again(inbox, bodies):
    assert await inbox.start(bodies) == [Verdict.GRANTED, HELD]

    assert await inbox.start(bodies[1:]) == [CONFLICT]
