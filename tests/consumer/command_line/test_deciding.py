import pytest
from support.dead_letters import NOTIFICATION

from consumer_service.lifecycle import State

pytestmark = pytest.mark.slow

WHY = ("--why", "the mail server works again")


def test_what_is_discarded_and_purged_says_how_many_and_is_audited(morning):
    discarded = morning.run("discard", "--queue", "mail", "--yes", *WHY)
    young = morning.run("purge", "--older-than", "1d", *WHY)
    purged = morning.run("purge", "--older-than", "0s", "--yes", *WHY)

    assert discarded.out == ["meant: 4 dead letters that wait for a decision", "discarded 4"]
    assert young.out == ["meant: 0 dead letters decided on longer than 1d ago", "purged 0"]
    assert purged.out[-1] == "purged 4"
    assert [action for action, *_ in morning.audit] == ["discard"] * 4 + ["purge"] * 4
    assert [letter.queue for letter in morning.letters] == [NOTIFICATION]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "--body: malformed: not JSON"),
        (lambda body: body.replace("ann@example.org", "nobody"), "--body: invalid: data.email: "),
        (lambda body: body, "--body: nothing was changed"),
    ],
    ids=["not JSON", "not the contract", "nothing"],
)
def test_a_mended_body_must_be_readable_and_another_one(morning, body, said):
    given = body(morning.letters[0].body.decode()) if callable(body) else body

    ended = morning.run("edit", "1", "--body", "-", *WHY, stdin=given)

    assert ended.code == 2
    assert ended.err[-1].startswith(said)
    assert len(morning.letters) == 5


@pytest.mark.broker
def test_a_mended_one_goes_in_the_place_of_the_original(with_broker):
    body = with_broker.letters[0].body.decode().replace("ann@example.org", "ann@example.com")

    ended = with_broker.run("edit", "1", "--body", "-", *WHY, stdin=body)

    original, mended = with_broker.letters[0], with_broker.letters[-1]
    assert (ended.code, ended.out[-1]) == (
        0,
        f"dead letter 1 is edited; {mended.id} went to consumer.mail in its place, with a new id",
    )
    assert (original.state, mended.state, mended.edited_from) == (State.EDITED, State.REPLAYED, 1)
    revealed = with_broker.run("show", str(mended.id), "--reveal", *WHY)
    assert '+    "email": "ann@example.com",' in revealed.out
