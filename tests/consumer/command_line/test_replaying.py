import pytest

from consumer_service.lifecycle import State

pytestmark = pytest.mark.slow

WHY = ("--why", "the mail server works again")


def test_a_dry_run_names_what_would_run_again_and_changes_nothing(morning):
    ended = morning.run("replay", "--all", "--dry-run")

    shown = "\n".join(ended.out)
    assert ended.code == 0
    assert "SendVerificationMail" in shown
    assert "at_least_once" in shown
    assert "of 5 dead letters: 4 would run again, 1 stay where they are, because they would only die again" in shown
    assert {letter.state for letter in morning.letters} == {State.WAITING}


def test_a_replay_without_a_broker_is_trouble_and_everything_waits(morning):
    ended = morning.run("replay", "--all", *WHY)

    assert ended.code == 1
    assert ended.err[-1].startswith("BrokerUnavailable: ")
    assert {letter.state for letter in morning.letters} == {State.WAITING}


@pytest.mark.broker
def test_without_a_worker_a_replay_goes_no_further_than_its_canaries(with_broker):
    ended = with_broker.run("replay", "--queue", "mail", "--watch-seconds", "0", *WHY)

    assert ended.code == 3
    assert any(line.startswith("  stopped: the canary has not finished within 0 s") for line in ended.out)
    assert any(line == "  1 replayed, 1 left; the same command goes on with them" for line in ended.out)


@pytest.mark.broker
def test_all_at_once_goes_when_somebody_says_so(with_broker):
    ended = with_broker.run("replay", "--all", "--no-canary", "--watch-seconds", "0", *WHY)

    assert ended.code == 0
    assert [letter.state for letter in with_broker.letters].count(State.REPLAYED) == 4
    assert {(action, who) for action, who, *_ in with_broker.audit} == {("replay", "ann")}
