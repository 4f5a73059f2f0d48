import asyncio

import pytest
from sqlalchemy.exc import DBAPIError
from structlog.dev import ConsoleRenderer
from structlog.testing import capture_logs
from support.builders import a_message, an_envelope
from support.inboxes import an_assignment
from support.tasks import (
    QUICK,
    AtMostOnceTask,
    HangingAtMostOnceTask,
    HangingTask,
    ImpatientTask,
    RecordingTask,
)
from support.waiting import eventually

from consumer_service.claim import Verdict
from consumer_service.execution import refused
from consumer_service.outcome import (
    DeadLetter,
    Done,
    Duplicate,
    OutcomeUnknown,
    PermanentFailure,
    Reason,
    Released,
    Retry,
    TemporaryFailure,
)
from consumer_service.retry import DEFER
from shared.transport import ATTEMPT

A_FAILURE_OF_EACH_KIND = [TemporaryFailure("busy"), OutcomeUnknown("no answer"), KeyError("name")]


class DisconnectedTask(AtMostOnceTask):
    """Loses a connection of its own, to whatever database, after its effect."""

    async def run(self, message, context):
        await super().run(message, context)
        raise DBAPIError("INSERT", None, Exception("gone"), connection_invalidated=True)


def on_attempt(attempt, task):
    return an_assignment(task=task, message=a_message(headers={ATTEMPT: attempt}))


async def test_a_task_gets_the_message_the_attempt_and_its_own_name(without_database):
    task, envelope = RecordingTask(), an_envelope()
    assignment = an_assignment(task=task, message=a_message(envelope, headers={ATTEMPT: 2}))

    assert await without_database.run(assignment) == Done()

    (context,) = task.contexts
    assert (context.envelope, context.task, context.attempt) == (envelope, "RecordingTask", 2)
    assert context.database is None


@pytest.mark.parametrize("error", A_FAILURE_OF_EACH_KIND)
async def test_what_may_help_is_tried_again(without_database, error):
    outcome = await without_database.run(an_assignment(task=RecordingTask(error)))

    assert isinstance(outcome, Retry)
    assert outcome.spends_attempt


async def test_a_permanent_failure_is_dead_at_once(without_database):
    outcome = await without_database.run(an_assignment(task=RecordingTask(PermanentFailure("no mailbox"))))

    assert (outcome.reason, outcome.error) == (Reason.PERMANENT_FAILURE, "PermanentFailure: no mailbox")


async def test_the_last_attempt_becomes_a_dead_letter(without_database):
    outcome = await without_database.run(on_attempt(QUICK.limit, RecordingTask(TemporaryFailure("busy"))))

    assert outcome.reason == Reason.RETRIES_EXHAUSTED


async def test_a_task_that_takes_too_long_is_cancelled_and_tried_again(without_database):
    outcome = await without_database.run(an_assignment(task=ImpatientTask()))

    assert isinstance(outcome, Retry)
    assert outcome.error.startswith("TimeoutError")


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), KeyError("name"), TimeoutError()])
async def test_an_effect_that_may_have_happened_and_must_not_be_repeated_is_ambiguous(without_database, error):
    outcome = await without_database.run(an_assignment(task=AtMostOnceTask(error)))

    assert outcome.reason == Reason.AMBIGUOUS


@pytest.mark.parametrize(
    ("error", "kind"), [(TemporaryFailure("busy"), Retry), (PermanentFailure("no mailbox"), DeadLetter)]
)
async def test_an_effect_that_surely_did_not_happen_follows_the_policy(without_database, error, kind):
    outcome = await without_database.run(an_assignment(task=AtMostOnceTask(error)))

    assert isinstance(outcome, kind)
    assert getattr(outcome, "reason", "") != Reason.AMBIGUOUS


async def test_a_lost_connection_of_the_tasks_own_does_not_repeat_what_must_not_be_repeated(without_database):
    outcome = await without_database.run(an_assignment(task=DisconnectedTask()))

    assert outcome.reason == Reason.AMBIGUOUS


@pytest.mark.parametrize(
    "error", [OSError("bad \udcff name"), TemporaryFailure("bad \udcff\x00 name"), ExceptionGroup("", [KeyError()])]
)
async def test_whatever_a_task_raises_becomes_an_outcome(without_database, error):
    assert isinstance(await without_database.run(an_assignment(task=RecordingTask(error))), Retry)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_of_the_task(without_database):
    stray = asyncio.CancelledError("a library cancelled its own call")

    outcome = await without_database.run(an_assignment(task=RecordingTask(stray)))

    assert isinstance(outcome, Retry)
    assert outcome.error.startswith("StrayCancellation")


async def test_our_own_cancellation_ends_the_run(without_database):
    task = HangingTask()
    running = asyncio.create_task(without_database.run(an_assignment(task=task)))
    await eventually(lambda: task.started)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_unknown_error_is_logged_in_a_shape_that_every_renderer_can_print(without_database):
    with capture_logs() as lines:
        await without_database.run(an_assignment(task=RecordingTask(KeyError("name"))))

    printed = ConsoleRenderer(colors=False)(None, "warning", lines[0])

    assert "task.raised" in printed
    assert "support/tasks.py" in printed


@pytest.mark.parametrize("error", [ValueError("ann@example.org"), KeyError("ann@example.org")])
async def test_the_log_never_holds_the_text_of_an_error_that_the_task_does_not_know(without_database, error):
    with capture_logs() as lines:
        outcome = await without_database.run(an_assignment(task=RecordingTask(error)))

    (line,) = lines
    assert (line["event"], line["kind"]) == ("task.raised", type(error).__name__)
    assert "ann@" not in f"{line}{outcome}"


async def test_stopping_gives_back_what_may_be_repeated(without_database):
    task = HangingTask()
    running = asyncio.create_task(without_database.run(an_assignment(task=task)))
    await eventually(lambda: task.started)

    without_database.stop()

    assert await running == Released()


async def test_stopping_in_the_middle_of_an_effect_that_must_not_be_repeated_is_ambiguous(without_database):
    task = HangingAtMostOnceTask()
    running = asyncio.create_task(without_database.run(an_assignment(task=task)))
    await eventually(lambda: task.started)

    without_database.stop()

    assert (await running).reason == Reason.AMBIGUOUS


async def test_nothing_is_started_after_stopping(without_database):
    task = RecordingTask()
    without_database.stop()

    assert await without_database.run(an_assignment(task=task)) == Released()
    assert not task.contexts


async def test_stopping_twice_does_no_harm_to_a_task_that_is_slow_to_go(without_database):
    task = SlowToGo()
    running = asyncio.create_task(without_database.run(an_assignment(task=task)))
    await eventually(lambda: task.started)

    without_database.stop()
    await eventually(lambda: task.is_going)
    without_database.stop()
    task.let_go.set()

    assert await running == Released()


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.DONE, Duplicate()),
        (Verdict.HELD, Retry(DEFER, "another delivery of this message is being worked on", spends_attempt=False)),
        (Verdict.SUSPECT, Released()),
    ],
)
def test_what_may_not_start_is_a_duplicate_or_is_put_off_or_comes_again_at_once(verdict, outcome):
    assert refused(verdict) == outcome


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.CONFLICT, Reason.ID_CONFLICT),
        (Verdict.CRASH_LOOP, Reason.CRASH_LOOP),
        (Verdict.AMBIGUOUS, Reason.AMBIGUOUS),
    ],
)
def test_what_must_not_start_is_dead_with_a_reason(verdict, reason):
    outcome = refused(verdict)

    assert (outcome.reason, outcome.fingerprint) == (reason, str(reason))


class SlowToGo(HangingTask):
    """Takes its time to clean up after it was cancelled."""

    is_going = False

    async def run(self, _message, _context):
        self.started += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.is_going = True
            await self.let_go.wait()
