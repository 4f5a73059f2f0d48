import pytest
from support.builders import a_message, an_envelope
from support.dead_letters import MAIL, NOTIFICATION, READERS, NotifyingTask
from support.tasks import RecordingTask

from consumer_service.dead_letters.readers import Readers
from consumer_service.dispatch import Key
from consumer_service.registry import TASKS
from consumer_service.upcasters import Upcaster
from shared.errors import UnknownType
from shared.transport import Message


def test_each_queue_reads_what_its_own_tasks_take():
    envelope = an_envelope()

    assert READERS.read(MAIL, a_message(envelope)) == envelope
    assert (READERS.task(MAIL, "user.created"), READERS.task(NOTIFICATION, "user.created")) == (
        RecordingTask,
        NotifyingTask,
    )


def test_the_key_is_the_one_that_the_inbox_knows():
    envelope = an_envelope()

    assert READERS.key(NOTIFICATION, envelope) == Key("NotifyingTask", envelope.id)


def test_what_no_task_takes_is_unknown_and_so_is_a_foreign_queue():
    assert READERS.task_name(NOTIFICATION, "user.email_verified") is None
    with pytest.raises(UnknownType, match=r"consumer\.foreign"):
        READERS.read("consumer.foreign", Message(b"{}"))


def test_every_queue_of_the_registry_can_be_read_without_building_a_task():
    assert Readers(TASKS).queues == ("consumer.mail", "consumer.mail.bulk", "consumer.notification")


def test_a_dead_letter_of_an_old_type_is_read_and_remembered_as_the_task_that_takes_it_now():
    readers = Readers([RecordingTask], [Upcaster("user.born", "user.created", lambda data: data)])
    old = a_message(body=a_message().body.replace(b'"user.created"', b'"user.born"'))

    envelope = readers.read(MAIL, old)

    assert envelope.type == "user.created"
    assert readers.task(MAIL, "user.born") is RecordingTask
    assert readers.key(MAIL, envelope) == Key("RecordingTask", envelope.id)
