from dataclasses import replace

import pytest
from support.builders import an_envelope
from support.tasks import AtMostOnceTask, BatchRecordingTask, RecordingTask

from consumer_service.task import Context, Guarantee
from shared.events import UserCreated


def test_a_task_takes_what_its_parameter_says_and_passes_that_on():
    assert (RecordingTask.takes, AtMostOnceTask.takes) == (UserCreated, UserCreated)


def test_a_task_is_known_by_the_name_of_its_class():
    assert AtMostOnceTask().name == "AtMostOnceTask"


def test_the_idempotency_key_is_the_same_for_every_attempt_and_for_no_other_task():
    first = Context(an_envelope(), "SendMail", attempt=1)

    assert replace(first, attempt=2).idempotency_key == first.idempotency_key
    assert replace(first, task="SendWelcomeMail").idempotency_key != first.idempotency_key
    assert replace(first, envelope=an_envelope()).idempotency_key != first.idempotency_key


def test_only_a_transactional_task_has_a_session():
    with pytest.raises(RuntimeError, match="SendMail is not transactional"):
        _ = Context(an_envelope(), "SendMail", attempt=1).session


def test_a_batch_that_could_not_say_what_it_has_done_is_refused():
    with pytest.raises(TypeError, match="Careless: a batch that fails is tried again, so it cannot be at_most_once"):

        class Careless(BatchRecordingTask):
            guarantee = Guarantee.AT_MOST_ONCE
