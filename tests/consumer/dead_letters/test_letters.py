from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import a_message, an_envelope
from support.dead_letters import BUSY, MAIL, NOW, READERS, a_dead_message

from consumer_service.dead_letters.letters import read_letter
from consumer_service.outcome import fingerprint_of
from shared.transport import BrokerDeath, Message

DIED = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


def read(message, now=NOW):
    return read_letter(message, MAIL, READERS, now)


def test_a_readable_dead_letter_is_known_by_the_ids_of_its_envelope():
    envelope = an_envelope()

    letter = read(a_dead_message(envelope, message_id="another", type=None))

    assert (letter.message_id, letter.type, letter.task) == (envelope.id, "user.created", "RecordingTask")
    assert (letter.subject, letter.source, letter.correlation_id) == (envelope.subject, envelope.source, "c-1")


def test_our_notes_say_how_it_died():
    death = read(a_dead_message(died_at=DIED, attempt=9, replays=2)).death

    assert (death.reason, death.error, death.error_class) == ("retries_exhausted", BUSY, "TemporaryFailure")
    assert (death.died_at, death.attempts, death.replays) == (DIED, 9, 2)
    assert death.fingerprint == fingerprint_of("RecordingTask", BUSY)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("KeyError at mail.py:12", "KeyError"),
        ("TimeoutError", "TimeoutError"),
        ("not JSON: expected value at line 1", "retries_exhausted"),
    ],
)
def test_the_kind_of_error_is_read_from_its_text_or_is_the_reason(error, kind):
    assert read(a_dead_message(error=error)).death.error_class == kind


def test_a_message_that_cannot_be_read_is_known_by_the_properties_of_the_broker():
    letter = read(Message(b"{", message_id="m-1", type="user.created", source="/somebody"))

    assert (letter.message_id, letter.type, letter.source) == ("m-1", "user.created", "/somebody")


def test_a_message_without_any_id_is_known_by_its_body():
    first, again, other = (read(Message(body)) for body in (b"{", b"{", b"["))

    assert first.message_id == again.message_id != other.message_id
    assert first.message_id.startswith("body:")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("delivery_limit", "delivered too often"),
        ("expired", "time to live"),
        ("maxlen", "length limit"),
        ("rejected", "another program rejected it"),
        ("something_new", "the broker's own reason is something_new"),
    ],
)
def test_what_the_broker_has_dead_lettered_says_so_in_words(reason, words):
    death = read(a_message(death=BrokerDeath(reason, MAIL, DIED))).death

    assert (death.reason, death.fingerprint, death.died_at) == (reason, reason, DIED)
    assert words in death.error


def test_the_broker_has_the_last_word_over_older_notes():
    message = replace(a_dead_message(), death=BrokerDeath("delivery_limit", MAIL, DIED))

    assert read(message).death.reason == "delivery_limit"


def test_a_rest_on_a_rung_is_no_death():
    message = replace(a_dead_message(), death=BrokerDeath("expired", "retry.1s", DIED))

    assert read(message).death.reason == "retries_exhausted"


def test_what_nobody_has_explained_is_called_so():
    death = read(a_message()).death

    assert (death.reason, death.fingerprint, death.error) == (
        "unexplained",
        "unexplained",
        "nobody has written down why it is here",
    )


def test_a_death_without_a_time_is_as_old_as_its_event_at_the_youngest():
    created = NOW - timedelta(days=3)

    assert read(a_message(time=created)).death.died_at == created
    assert read(a_message(time=None)).death.died_at == NOW


def test_nobody_dies_in_the_future():
    assert read(a_dead_message(died_at=NOW + timedelta(days=365))).death.died_at == NOW


def test_the_same_copy_bears_the_same_mark_and_another_death_another():
    message = a_dead_message(died_at=DIED)
    later = a_dead_message(died_at=DIED + timedelta(seconds=1))
    replayed = a_dead_message(died_at=DIED, replays=1)

    marks = [read(each, NOW + timedelta(minutes=at)).death.mark for at, each in enumerate((message, message))]

    assert marks[0] == marks[1]
    assert len({marks[0], read(later).death.mark, read(replayed).death.mark}) == 3


@given(
    message=st.builds(
        Message,
        body=st.binary(max_size=50),
        message_id=st.none() | st.text(max_size=300),
        type=st.none() | st.text(max_size=300),
        headers=st.dictionaries(
            st.sampled_from(["tidings-reason", "tidings-error", "tidings-failed-at", "tidings-fingerprint", "ce-id"]),
            st.text() | st.integers() | st.none(),
        ),
        death=st.none() | st.builds(BrokerDeath, st.text(), st.just(MAIL), st.none()),
    )
)
def test_whatever_stands_on_a_message_it_can_be_kept(message):
    letter = read(message)

    told = (letter.message_id, letter.death.reason, letter.death.error, letter.death.fingerprint)
    assert all(text and text.isprintable() for text in told)
    assert len(letter.message_id) <= 255
    assert max(len(letter.death.reason), len(letter.death.fingerprint)) <= 64
