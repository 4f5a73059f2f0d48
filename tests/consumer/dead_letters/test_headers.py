from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer_service.dead_letters.headers import from_text, to_text

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.slow
@given(headers=st.dictionaries(st.text(), values))
def test_headers_come_back_as_they_were(headers):
    assert from_text(to_text(headers)) == headers


@pytest.mark.slow
@given(headers=st.dictionaries(st.text(), values))
def test_every_database_can_hold_the_text(headers):
    text = to_text(headers)

    assert text.isascii()
    assert "\x00" not in text


def test_what_cannot_be_said_is_described():
    when = datetime(2026, 11, 22, tzinfo=UTC)

    assert from_text(to_text({"price": Decimal("1.50"), "at": when})) == {"price": "1.50", "at": when}
