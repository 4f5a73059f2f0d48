"""Every message the services may say to each other, as strategies: whatever is valid may be drawn."""

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from shared.commands import SendMail
from shared.contracts import Contract
from shared.envelope import Envelope
from shared.events import (
    UserCreated,
    UserEmailVerified,
    UserEvent,
    UserPasswordResetRequested,
    UserVerificationCodeRequested,
)

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PRINTABLE = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\x7f"))
WORDS = st.from_regex(r"[A-Za-z0-9.+-]{1,20}", fullmatch=True)
ADDRESSES = st.builds("{}@{}".format, WORDS, WORDS)
LOCALES = st.from_regex(r"[A-Za-z0-9-]{1,35}", fullmatch=True)


def _about_a_user(event: type[UserEvent], **more: st.SearchStrategy[object]) -> st.SearchStrategy[Contract]:
    names = PRINTABLE.map(lambda name: name[:200])
    return st.builds(event, user_id=st.uuids(), email=ADDRESSES, name=names, locale=LOCALES, **more)


CONTRACTS: st.SearchStrategy[Contract] = st.one_of(
    _about_a_user(UserCreated, verification_id=st.uuids()),
    _about_a_user(UserEmailVerified),
    _about_a_user(UserPasswordResetRequested, reset_id=st.uuids()),
    _about_a_user(UserVerificationCodeRequested, code_id=st.uuids()),
    st.builds(
        SendMail,
        to=ADDRESSES,
        template=st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True),
        variables=st.dictionaries(ANYTHING, ANYTHING, max_size=5),
        locale=LOCALES,
    ),
)

IDS = PRINTABLE.filter(bool).map(lambda text: text[:255])

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
"""RFC 3339, in which CloudEvents write their times, knows no zone with seconds in it."""

ENVELOPES: st.SearchStrategy[Envelope[Contract]] = st.builds(
    Envelope,
    id=IDS,
    source=IDS,
    subject=PRINTABLE.filter(bool),
    time=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=ZONES),  # noqa: DTZ001 - the zone is drawn
    data=CONTRACTS,
    correlation_id=IDS,
    causation_id=st.none() | IDS,
    traceparent=st.none() | IDS,
)
