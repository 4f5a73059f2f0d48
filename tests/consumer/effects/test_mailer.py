import asyncio

import pytest
from support.mails import A_MOMENT, LONG, a_mail, a_mailer, failure_of
from support.smtp import TAKEN, smtp_catcher

from consumer_service.outcome import OutcomeUnknown, PermanentFailure, TemporaryFailure


async def test_a_mail_arrives_whole(catcher):
    await a_mailer(catcher.url).send(a_mail(message_id="<0198@example.org>", subject="你好", text=".\n..dots\n"))

    [mail] = catcher.mails
    assert mail["Message-ID"] == "<0198@example.org>"
    assert mail["Subject"] == "你好"
    assert catcher.recipients == ["ada@example.com"]
    assert [part.get_content() for part in mail.iter_parts()] == [".\r\n..dots\r\n", "<p>A text.</p>\r\n"]


async def test_the_conversation_ends_politely(catcher):
    await a_mailer(catcher.url).send(a_mail())

    assert catcher.commands == ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", TAKEN, "QUIT"]


@pytest.mark.slow
async def test_nothing_that_happens_after_the_mail_was_taken_makes_it_fail(catcher):
    catcher.hang("QUIT")

    await a_mailer(catcher.url, answer_within=LONG / 20, send_within=LONG / 30).send(a_mail())

    assert len(catcher.mails) == 1


@pytest.mark.parametrize("reply", ["500 what?", "421 shutting down"])
async def test_a_rude_goodbye_makes_nothing_fail(catcher, reply):
    catcher.answer("QUIT", reply)

    await a_mailer(catcher.url).send(a_mail())

    assert len(catcher.mails) == 1


async def test_an_international_address_travels_where_servers_speak_it(catcher):
    await a_mailer(catcher.url).send(a_mail(to="阿达@例子.中国"))

    assert catcher.recipients == ["阿达@例子.中国"]


async def test_an_international_address_is_final_where_the_server_does_not():
    async with smtp_catcher(international=False) as catcher:
        failure = await failure_of(catcher.url, a_mail(to="阿达@例子.中国"))

    assert isinstance(failure, PermanentFailure)
    assert "SMTPUTF8" in str(failure)


async def test_a_mail_that_could_smuggle_a_header_never_opens_a_connection(catcher):
    failure = await failure_of(catcher.url, a_mail(subject="A\r\nBcc: everyone@example.com"))

    assert isinstance(failure, PermanentFailure)
    assert catcher.commands == []


@pytest.mark.parametrize(
    ("command", "reply", "said"),
    [
        ("CONNECT", "421 4.3.2 too busy", "421 (4.3.2) to connect"),
        ("EHLO", "451 4.3.0 not now", "451 (4.3.0) to EHLO"),
        ("MAIL", "451 4.3.0 not now", "451 (4.3.0) to MAIL"),
        ("MAIL", "452 4.3.1 disk full", "452 (4.3.1) to MAIL"),
        ("RCPT", "421 closing", "421 to RCPT"),
        ("RCPT", "450 4.2.0 greylisted because of ada@example.com", "450 (4.2.0) to RCPT"),
        ("RCPT", "451 4.7.1 later", "451 (4.7.1) to RCPT"),
        ("DATA", "451 4.3.0 not now", "451 (4.3.0) to DATA"),
        (TAKEN, "451 4.3.0 not now", "451 (4.3.0) to DATA"),
        (TAKEN, "452 4.3.1 disk full", "452 (4.3.1) to DATA"),
    ],
)
async def test_a_refusal_for_now_is_tried_again(catcher, command, reply, said):
    catcher.answer(command, reply)

    failure = await failure_of(catcher.url)

    assert type(failure) is TemporaryFailure
    assert said in str(failure)
    assert "our configuration" not in str(failure)


@pytest.mark.parametrize(
    ("command", "reply", "said"),
    [
        ("RCPT", "550 5.1.1 no such user ada@example.com", "550 (5.1.1) to RCPT"),
        ("RCPT", "553 5.1.3 what an address", "553 (5.1.3) to RCPT"),
        ("RCPT", "552 5.2.2 mailbox full", "552 (5.2.2) to RCPT"),
        ("RCPT", "521 5.3.2 we take no mail", "521 (5.3.2) to RCPT"),
        ("MAIL", "552 5.3.4 too large", "552 (5.3.4) to MAIL"),
        ("DATA", "554 5.7.1 spam", "554 (5.7.1) to DATA"),
        (TAKEN, "550 5.7.1 A subject like spam", "550 (5.7.1) to DATA"),
        (TAKEN, "552 5.3.4 too large", "552 (5.3.4) to DATA"),
    ],
)
async def test_a_final_word_about_the_recipient_or_the_message_is_final(catcher, command, reply, said):
    catcher.answer(command, reply)

    failure = await failure_of(catcher.url)

    assert isinstance(failure, PermanentFailure)
    assert said in str(failure)
    assert catcher.commands[-1] == "QUIT"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("CONNECT", "554 5.7.1 your network is not welcome"),
        ("EHLO", "550 who are you?"),
        ("MAIL", "530 5.7.0 authentication required"),
        ("MAIL", "553 5.7.1 not your sender"),
        ("RCPT", "530 5.7.0 authentication required"),
        ("RCPT", "538 5.7.11 encryption required"),
        (TAKEN, "535 5.7.8 authenticate"),
    ],
)
async def test_a_final_word_about_us_waits_until_we_have_been_put_right(catcher, command, reply):
    catcher.answer(command, reply)

    failure = await failure_of(catcher.url)

    assert type(failure) is TemporaryFailure
    assert "our configuration" in str(failure)


async def test_a_server_that_greylists_gets_the_mail_once_it_is_willing(catcher):
    catcher.answer("RCPT", "450 4.2.0 greylisted", times=2)
    mailer = a_mailer(catcher.url)

    for _ in range(2):
        with pytest.raises(TemporaryFailure):
            await mailer.send(a_mail())
    await mailer.send(a_mail())

    assert len(catcher.mails) == 1


async def test_a_server_that_is_not_there_is_tried_again(unused_tcp_port):
    failure = await failure_of(f"smtp://127.0.0.1:{unused_tcp_port}?tls=off")

    assert type(failure) is TemporaryFailure
    assert "could not be reached" in str(failure)


async def test_a_host_that_has_no_address_is_tried_again():
    failure = await failure_of("smtp://mail.invalid?tls=off", connect_within=LONG)

    assert type(failure) is TemporaryFailure
    assert "(connect)" in str(failure)


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT"])
@pytest.mark.slow
async def test_a_server_that_falls_silent_before_the_message_is_tried_again(catcher, command):
    catcher.hang(command)

    failure = await failure_of(catcher.url)

    assert type(failure) is TemporaryFailure
    assert "did not answer in time" in str(failure)


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT"])
async def test_a_server_that_hangs_up_before_the_message_is_tried_again(catcher, command):
    catcher.drop(command)

    failure = await failure_of(catcher.url)

    assert type(failure) is TemporaryFailure
    assert "could not be reached or hung up" in str(failure)


@pytest.mark.slow
async def test_a_slow_server_cannot_hold_a_mail_longer_than_its_deadline(catcher):
    catcher.hang("MAIL")

    async with asyncio.timeout(5):
        failure = await failure_of(catcher.url, answer_within=LONG, send_within=A_MOMENT)

    assert type(failure) is TemporaryFailure
    assert "did not answer in time (MAIL)" in str(failure)


@pytest.mark.slow
async def test_silence_after_the_message_leaves_the_outcome_unknown(catcher):
    catcher.hang(TAKEN)

    failure = await failure_of(catcher.url)

    assert isinstance(failure, OutcomeUnknown)
    assert "outcome unknown" in str(failure)
    assert len(catcher.mails) == 1


@pytest.mark.slow
async def test_the_whole_deadline_passing_after_the_message_leaves_the_outcome_unknown(catcher):
    catcher.hang(TAKEN)

    async with asyncio.timeout(5):
        failure = await failure_of(catcher.url, answer_within=LONG, send_within=A_MOMENT)

    assert isinstance(failure, OutcomeUnknown)


async def test_a_hang_up_after_the_message_leaves_the_outcome_unknown(catcher):
    catcher.drop(TAKEN)

    failure = await failure_of(catcher.url)

    assert isinstance(failure, OutcomeUnknown)
    assert len(catcher.mails) == 1


async def test_nonsense_after_the_message_leaves_the_outcome_unknown(catcher):
    catcher.answer(TAKEN, "what?")

    failure = await failure_of(catcher.url)

    assert isinstance(failure, OutcomeUnknown)


async def test_a_mail_that_is_called_off_leaves_no_connection_behind(catcher):
    catcher.hang("RCPT")
    sending = asyncio.create_task(a_mailer(catcher.url, answer_within=LONG).send(a_mail()))
    await catcher.reached("RCPT")

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    await catcher.left()
