from datetime import UTC, datetime

import pytest
from pamqp import commands as spec
from pamqp.header import ContentHeader

from shared.backends.rabbitmq.headers import MOST_HEADERS, kept, last_death
from shared.transport import BrokerDeath


def test_the_brokers_own_headers_are_not_carried_on():
    headers = {"x-death": [{"count": 1}], "x-first-death-queue": "q", "x-delivery-count": 3, "CC": ["x"], "mine": "yes"}

    assert kept(headers) == {"mine": "yes"}


def test_the_last_death_is_told_and_no_older_one():
    when = datetime(2026, 11, 22, tzinfo=UTC)
    newest = {"reason": "delivery_limit", "queue": "consumer.mail", "time": when, "count": 1}
    older = {"reason": "expired", "queue": "retry.1s", "time": when, "count": 3}

    assert last_death({"x-death": [newest, older]}) == BrokerDeath("delivery_limit", "consumer.mail", when)


@pytest.mark.parametrize("deaths", [None, [], "expired", [{"reason": 1, "queue": "q"}], [{"queue": "q"}], [b"x"]])
def test_a_nonsensical_death_is_none(deaths):
    assert last_death({"x-death": deaths}) is None


def test_of_a_thousand_headers_those_that_count_are_kept():
    headers = {f"h{number}": number for number in range(1000)} | {"ce-id": "7", "tidings-attempt": 4}

    carried = kept(headers)

    assert len(carried) == MOST_HEADERS
    assert (carried["ce-id"], carried["tidings-attempt"]) == ("7", 4)


def test_text_that_is_not_utf8_is_kept_in_a_form_that_can_be_written_again():
    carried = kept({"name": b"caf\xe9", "list": [b"\xff", 1], "table": {"inner": b"\xff"}})

    assert carried == {"name": "caf\ufffd", "list": ["\ufffd", 1], "table": {"inner": "\ufffd"}}
    assert ContentHeader(properties=spec.Basic.Properties(headers=carried)).marshal()


def test_a_header_nested_too_deep_is_cut_off():
    nested: list[object] = []
    for _ in range(900):
        nested = [nested]

    assert "nested too deep" in repr(kept({"deep": nested})["deep"])


def test_headers_that_would_fill_a_frame_are_dropped_and_small_ones_kept():
    headers = {"big": "x" * 130_000, "small": "y", "tidings-attempt": 3}

    assert kept(headers) == {"tidings-attempt": 3, "small": "y"}


def test_headers_of_many_bytes_leave_as_much_room_as_headers_of_many_characters():
    assert kept({"big": "\N{GRINNING FACE}" * 32_000, "small": "y"}) == {"small": "y"}


@pytest.mark.parametrize("number", [1e300, -1e300, 3.5e38])
def test_a_float_that_cannot_be_written_again_is_kept_as_text(number):
    carried = kept({"number": number, "list": [number]})

    assert carried == {"number": str(number), "list": [str(number)]}


@pytest.mark.parametrize("number", [0.5, 1e38, float("inf"), float("nan")])
def test_a_float_that_can_be_written_again_stays_one(number):
    carried = kept({"number": number})

    assert isinstance(carried["number"], float)
    assert ContentHeader(properties=spec.Basic.Properties(headers=carried)).marshal()
