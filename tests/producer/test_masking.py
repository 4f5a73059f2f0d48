import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import ANN, a_user_created, an_envelope

from producer_service.masking import MASK, masked
from shared.envelope import encode


def test_what_a_message_is_can_be_read_and_whom_it_is_about_cannot():
    envelope = an_envelope(a_user_created(email="canary@example.org", name="Canary"))

    seen = masked(encode(envelope))

    assert (seen["id"], seen["type"], seen["data"]["user_id"]) == (envelope.id, "user.created", str(ANN))
    assert (seen["data"]["email"], seen["data"]["name"]) == (MASK, MASK)
    assert "canary" not in json.dumps(seen).lower()


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1]", b'"canary"', b"{"])
def test_what_is_no_envelope_is_masked_as_a_whole(payload):
    assert masked(payload) == MASK


@pytest.mark.slow
@given(
    st.recursive(
        st.text(alphabet="canry", min_size=1) | st.integers(min_value=10**6) | st.none() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["one", "two"]), inner),
    )
)
def test_no_text_and_no_number_gets_through_however_deep_it_lies(data):
    leaves = list(leaves_of(masked(json.dumps({"data": data}).encode())["data"]))

    assert all(leaf in {MASK, None, True, False} for leaf in leaves)


def leaves_of(value):
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from leaves_of(member)
    else:
        yield value
