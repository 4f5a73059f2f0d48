import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import an_envelope

from consumer_service.dead_letters.masking import masked_body, masked_headers, printable
from shared.commands import SendMail
from shared.envelope import encode
from shared.events import EVENTS

SECRETS = ("ann@example.org", "Ann Smith", "canary")


def test_an_event_shows_what_it_is_and_not_whose():
    shown = masked_body(encode(an_envelope()))

    assert "ann@example.org" not in shown
    assert '"email": "[masked: 15 characters]"' in shown
    assert '"type": "user.created"' in shown
    assert "01890000-0000-7000-8000-00000000000a" in shown


def test_a_command_shows_its_template_and_neither_address_nor_variables():
    mail = SendMail(to="ann@example.org", template="welcome", variables={"id": "canary", "token": "canary"})

    shown = json.loads(masked_body(encode(an_envelope(mail))))["data"]

    assert shown["template"] == "welcome"
    assert shown["to"] == "[masked: 15 characters]"
    assert set(shown["variables"].values()) == {"[masked: 6 characters]"}


@pytest.mark.parametrize("contract", EVENTS)
def test_no_event_shows_an_address_or_a_name(contract):
    fields = dict.fromkeys(contract.model_fields, "01890000-0000-7000-8000-00000000000b")
    data = contract(**(fields | {"email": SECRETS[0], "name": SECRETS[1], "locale": "en"}))

    shown = masked_body(encode(an_envelope(data)))

    assert not [secret for secret in SECRETS if secret in shown]


def test_numbers_and_lists_are_masked_and_keys_stay():
    assert json.loads(masked_body(b'{"code": 123456, "to": ["a@b"], "ok": true, "no": null, "r": 1.5}')) == {
        "code": "[masked: a number]",
        "to": ["[masked: 3 characters]"],
        "ok": True,
        "no": None,
        "r": "[masked: a number]",
    }


def test_of_a_body_that_is_no_json_only_the_size_is_shown():
    assert masked_body(b"ann@example.org") == "[15 bytes that are not JSON; --reveal shows them]"


def test_our_headers_and_the_envelopes_are_shown_and_foreign_ones_masked():
    headers = {
        "tidings-error": "busy",
        "ce-type": "user.created",
        "authorization": "Bearer canary",
        "ce-data": "canary",
    }

    shown = masked_headers(headers)

    assert (shown["tidings-error"], shown["ce-type"]) == ("busy", "user.created")
    assert "canary" not in str(shown)


@given(text=st.text())
def test_nothing_that_is_shown_can_steer_a_terminal(text):
    assert all(sign.isprintable() or sign == "\n" for sign in printable(text))


@given(body=st.binary())
def test_any_body_can_be_masked(body):
    assert masked_body(body)
