import asyncio
import os
import subprocess
import sys

import pytest
from support.dead_letters import a_dead_message
from support.processes import ROOT

from shared.backends.rabbitmq import RabbitTransport
from shared.topology import DEAD
from shared.transport import Outgoing

pytestmark = pytest.mark.slow

WHY = ("--why", "the mail server works again")


def test_a_broker_that_is_away_is_said_in_one_line_without_its_password(morning):
    ended = morning.run("groups")

    (line,) = ended.err
    assert line.startswith("note: dead letters in the broker are not shown, only the table (BrokerUnavailable: ")
    assert "canary" not in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--queue", "male"], "--queue: 'male' is not one of mail, notification"),
        (["groups", "--state", "lost"], "--state: 'lost' is not one of waiting, replaying, "),
        (["list", "--since", "soon"], "--since: 'soon' is neither a span, as in 12h, nor an ISO time"),
        (["show", "999"], "ID: there is no dead letter 999"),
        (["show", "1", "--reveal"], "--why is missing"),
        (["replay"], "say which: by ID, --queue, --fingerprint"),
        (["replay", "--all"], "--why is missing"),
        (["discard", *WHY], "say which: by ID"),
        (["discard", "1"], "--why is missing"),
        (["discard", "--queue", "mail", *WHY], "--yes is missing, and nobody is here to be asked: discard 4"),
        (["purge", "--older-than", "a while", *WHY], "--older-than: 'a while' is not a number of seconds"),
        (["edit", "1", *WHY], "--body is missing, and there is no terminal to open an editor on"),
        (["edit", "1", "--body", "nowhere.json", *WHY], "--body: nowhere.json: No such file or directory"),
    ],
)
def test_a_command_that_is_given_wrongly_says_what_is_missing_and_changes_nothing(morning, arguments, said):
    before = [letter.state for letter in morning.letters]

    ended = morning.run(*arguments)

    assert ended.code == 2
    assert ended.err[-1].startswith(said)
    assert [letter.state for letter in morning.letters] == before
    assert morning.audit == []


@pytest.mark.broker
def test_every_command_first_brings_in_what_stands_in_the_broker(with_broker):
    message = a_dead_message(task="SendVerificationMail")

    async def publish():
        async with RabbitTransport(with_broker.env["TIDINGS_BROKER_URL"], name="publish").publisher() as publisher:
            await publisher.publish([Outgoing(DEAD.name, "consumer.mail", message)])

    asyncio.run(publish())

    ended = with_broker.run("groups")

    assert (ended.err, ended.out[0]) == ([], "6 dead letters of 4 causes (replaying or waiting)")


def test_a_reader_who_has_read_enough_hears_no_complaint(morning):
    piped = f"{sys.executable} -m consumer_service dead-letters list | true"

    done = subprocess.run(
        ["/bin/sh", "-c", piped],
        env=morning.env | {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert [line for line in done.stderr.splitlines() if not line.startswith("note: ")] == []
