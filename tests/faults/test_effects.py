"""The mail server fails in every way in which mail servers do; each mail is taken once, or it is known why not."""

from collections import Counter

import pytest
from support.pair import MAIL, PROMPT
from support.peeking import header, peek
from support.smtp import DROP, TAKEN
from support.waiting import eventually

pytestmark = [pytest.mark.broker, pytest.mark.fault]

PASSING = {
    "CONNECT": DROP,
    "EHLO": "421 4.3.2 shutting down",
    "MAIL": "530 5.7.0 authentication required",
    "RCPT": "450 4.2.0 greylisted, come back later",
    "DATA": "451 4.3.0 try again later",
}
"""Answers after which the mail was not taken. The third is about us, and is over when we have been put right."""

FINAL = {"RCPT": "550 5.1.1 no such mailbox", TAKEN: "552 5.3.4 too large"}


async def test_what_passes_costs_time_and_no_mail(pair):
    for command, answer in PASSING.items():
        pair.smtp.answer(command, answer, times=1)

    await pair.accept(len(PASSING), names=[PROMPT])

    await pair.balances(within=100)
    assert len(pair.smtp.mails) == len(PASSING)
    assert pair.sample("tidings_deliveries_total", queue=MAIL, type="user.created", outcome="retried") == len(PASSING)


async def test_a_connection_lost_after_the_final_dot_repeats_the_mail_under_its_message_id(pair):
    pair.smtp.answer(TAKEN, DROP, times=1)

    pair.may_repeat.update(await pair.accept(3, names=[PROMPT]))

    await eventually(lambda: len(pair.smtp.mails) == 4, within=100)  # The last one waits on a rung before.
    await pair.balances(within=100)
    copies = Counter(mail["message-id"] for mail in pair.smtp.mails)
    assert sorted(copies.values()) == [1, 1, 2]


async def test_what_is_refused_for_good_is_dead_at_once_and_its_neighbours_are_not(pair):
    for command, answer in FINAL.items():
        pair.smtp.answer(command, answer, times=1)

    await pair.accept(6, names=[PROMPT])

    ledger = await pair.balances()
    dead = ledger.accounts[0].dead
    graves = await peek(pair.admin.url, f"{MAIL}.dead")
    assert set(dead.values()) == {"permanent_failure"}
    assert (len(dead), len(pair.smtp.mails)) == (len(FINAL), 6 - len(FINAL))
    assert {header(grave, "tidings-progress") for grave in graves} == {"dead on attempt 1"}
    assert not [grave for grave in graves if "@" in str(header(grave, "tidings-error"))]


async def test_a_mail_server_that_refuses_us_fills_no_dead_letters(pair):
    pair.smtp.answer("MAIL", "530 5.7.0 authentication required")
    await pair.accept(20, names=[PROMPT])
    retried = {"queue": MAIL, "type": "user.created", "outcome": "retried"}
    await eventually(lambda: pair.sample("tidings_deliveries_total", **retried) >= 20, within=60)
    assert await pair.dead(MAIL) == {}

    pair.smtp.answer("MAIL", "", times=0)

    await pair.balances(within=100)
    assert len(pair.smtp.mails) == 20
