from typing import Any

import pytest
from support.ledger import Account, Ledger


def an_account(**changes: Any) -> Account:
    fields: dict[str, Any] = {"queue": "consumer.mail", "effects": {"1": ["<m1>"]}}
    return Account(**(fields | changes))


def a_ledger(*accounts: Account, **changes: Any) -> Ledger:
    fields: dict[str, Any] = {
        "accepted": {"1"},
        "outbox": {"1": "published"},
        "accounts": accounts or (an_account(),),
    }
    return Ledger(**(fields | changes))


def test_a_run_in_which_everything_was_done_once_balances():
    assert a_ledger().complaints() == []


@pytest.mark.parametrize(
    "account",
    [
        an_account(effects={}, dead={"1": "permanent_failure"}),
        an_account(effects={}, held={"1"}),
        an_account(effects={"1": ["<m1>", "<m1>"]}, may_repeat={"1"}),
        an_account(dead={"1": "ambiguous"}, may_be_ambiguous={"1"}),
        an_account(effects={}, dead={"1": "ambiguous"}, may_be_ambiguous={"1"}),
    ],
    ids=[
        "dead with a reason",
        "still in a queue",
        "repeated in a named window",
        "done as its worker died",
        "perhaps not done as its worker died",
    ],
)
def test_what_is_visible_or_documented_balances_too(account):
    assert a_ledger(account).complaints() == []


@pytest.mark.parametrize("status", ["pending", "parked"])
def test_what_waits_in_the_outbox_is_not_expected_anywhere_else(status):
    assert a_ledger(an_account(effects={}), outbox={"1": status}).complaints() == []


@pytest.mark.parametrize(
    ("account", "complaint"),
    [
        (an_account(effects={}), "consumer.mail: 1 is lost"),
        (an_account(dead={"1": "malformed"}), "consumer.mail: 1 was done, and is dead as malformed"),
        (an_account(effects={"1": ["<m1>"] * 2}), "consumer.mail: 1 had its effect 2 times"),
        (
            an_account(effects={"1": ["<a>", "<b>"]}, may_repeat={"1"}),
            "consumer.mail: the repeated effects of 1 differ in their marks: ['<a>', '<b>']",
        ),
        (an_account(effects={"1": ["<m1>"], "2": ["<m2>"]}), "consumer.mail: 2 was never committed"),
        (
            an_account(dead={"1": "ambiguous"}),
            "consumer.mail: 1 is dead as ambiguous, and no worker died with it",
        ),
        (
            an_account(effects={"1": ["<m1>", "<m1>"]}, dead={"1": "ambiguous"}, may_be_ambiguous={"1"}),
            "consumer.mail: 1 had its effect 2 times",
        ),
    ],
    ids=[
        "lost",
        "done and dead",
        "done twice",
        "repeated under another mark",
        "a ghost",
        "ambiguous for no reason",
        "done twice where it must not be repeated",
    ],
)
def test_a_broken_promise_is_named_with_its_message(account, complaint):
    assert a_ledger(account).complaints() == [complaint]


def test_an_accepted_message_that_was_not_committed_is_lost():
    assert a_ledger(accepted={"1", "2"}).complaints() == ["outbox: 2 was accepted, and is lost"]


def test_every_subscriber_owes_its_own_account():
    ledger = a_ledger(an_account(), an_account(queue="consumer.bookkeeping", effects={}))

    assert ledger.complaints() == ["consumer.bookkeeping: 1 is lost"]
