import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import ANN, a_message, an_envelope
from support.inboxes import an_assignment
from support.tasks import (
    AtMostOnceTask,
    BatchRecordingTask,
    RecordingTask,
    TransactionalBatchTask,
    TransactionalTask,
    WelcomeTask,
)
from support.transports import a_delivery

from consumer_service.dispatch import REPLAYS, Assignment, Dispatcher, body_hash, replays
from consumer_service.outcome import DeadLetter
from consumer_service.upcasters import Upcaster
from shared.transport import LARGEST_BODY

TASK = RecordingTask()
DISPATCHER = Dispatcher([TASK, WelcomeTask()])


def dispatch(**changes):
    return DISPATCHER.dispatch(a_delivery(a_message(**changes)))


def structured(**changes):
    return dispatch(body=json.dumps(json.loads(a_message().body) | changes).encode())


def test_a_readable_message_goes_to_the_task_that_takes_it():
    envelope = an_envelope()

    found = DISPATCHER.dispatch(a_delivery(a_message(envelope)))

    assert (found.task, found.envelope) == (TASK, envelope)
    assert (found.key.task, found.key.message_id) == ("RecordingTask", envelope.id)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (dispatch(body=b"not json"), "malformed"),
        (dispatch(body=b"[1, 2]"), "malformed"),
        (structured(specversion="0.3"), "invalid"),
        (structured(data={"user_id": "no uuid"}), "invalid"),
        (structured(type="user.sighed"), "unknown_type"),
        (structured(type="user.created.v9"), "unsupported_version"),
        (dispatch(body=b"{" + b" " * LARGEST_BODY), "oversized"),
    ],
)
def test_what_nobody_can_read_is_dead_at_once_and_says_why(found, reason):
    assert (found.reason, found.fingerprint) == (reason, reason)
    assert found.error


def test_the_reason_quotes_no_value_and_is_one_line():
    found = structured(data={"user_id": "ann@example.org\nand more"})

    assert found.error.startswith("data.user_id: ")
    assert "ann@" not in found.error
    assert found.error.isprintable()


@pytest.mark.slow
@given(body=st.binary(), content_type=st.none() | st.text(), headers=st.dictionaries(st.text(), st.text()))
def test_no_message_whatever_is_in_it_does_more_than_become_a_dead_letter(body, content_type, headers):
    assert isinstance(dispatch(body=body, content_type=content_type, headers=headers), DeadLetter)


@given(id_=st.text(), source=st.text(min_size=1), time=st.text() | st.datetimes().map(lambda time: f"{time}Z"))
def test_an_id_that_is_let_in_can_be_a_key_in_any_database(id_, source, time):
    found = structured(id=id_, source=source, time=time)

    if isinstance(found, Assignment):
        assert 0 < len(found.key.message_id) <= 255
        assert "\x00" not in found.key.message_id
        assert found.key.message_id.encode()


def test_two_tasks_of_one_queue_cannot_take_the_same_message():
    with pytest.raises(ValueError, match=r"RecordingTask and AtMostOnceTask both take user.created"):
        Dispatcher([RecordingTask(), AtMostOnceTask()])


def test_the_same_body_has_the_same_hash_and_another_has_another():
    one, another = a_message(), a_message()

    assert body_hash(one) == body_hash(a_message(body=one.body)) != body_hash(another)


@pytest.mark.parametrize(
    ("task", "redelivered", "expected"),
    [
        (RecordingTask(), False, True),
        (AtMostOnceTask(), False, True),
        (TransactionalTask(), False, False),
        (TransactionalTask(), True, True),
    ],
)
def test_a_transactional_task_is_started_first_only_when_a_worker_may_have_died_of_it(task, redelivered, expected):
    assert an_assignment(task=task, redelivered=redelivered).is_started_first is expected


@pytest.mark.parametrize(
    ("task", "redelivered", "expected"),
    [
        (RecordingTask(), False, None),
        (AtMostOnceTask(), False, None),
        (TransactionalTask(), False, "transactional"),
        (TransactionalTask(), True, None),
        (BatchRecordingTask(), True, "BatchRecordingTask"),
        (TransactionalBatchTask(), False, "TransactionalBatchTask"),
        (TransactionalBatchTask(), True, None),
    ],
)
def test_messages_go_together_where_one_failure_can_be_undone_or_the_task_takes_many(task, redelivered, expected):
    assert an_assignment(task=task, redelivered=redelivered).kind == expected


@pytest.mark.parametrize(("header", "expected"), [(None, 0), (0, 0), (3, 3), (-1, 0), ("3", 0), (True, 0), (10**9, 0)])
def test_a_nonsensical_count_of_replays_counts_as_never(header, expected):
    assert replays(a_message(headers={REPLAYS: header})) == expected


BORN = Upcaster("user.born", "user.created", lambda data: {**data, "user_id": data["person_id"]})


def dispatch_old(**data):
    body = json.loads(a_message().body) | {"type": "user.born"}
    body["data"] = {name: value for name, value in body["data"].items() if name != "user_id"} | data
    return Dispatcher([TASK], [BORN]).dispatch(a_delivery(a_message(body=json.dumps(body).encode())))


def test_an_old_version_goes_to_the_task_that_takes_what_it_becomes():
    found = dispatch_old(person_id=str(ANN))

    assert (found.task, found.envelope.type, found.envelope.data.user_id) == (TASK, "user.created", ANN)


def test_an_old_version_that_cannot_be_brought_up_is_dead_at_once_and_says_why():
    found = dispatch_old()

    assert (found.reason, found.error) == ("upcast_failed", "user.born to user.created: KeyError")
