from support.mails import LONG, a_mail, a_mailer, failure_of
from support.smtp import make_certificate, smtp_catcher

from consumer_service.outcome import TemporaryFailure


async def test_starttls_is_used_and_the_user_logs_in_behind_it(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        url = f"smtp://ada:lovelace@127.0.0.1:{catcher.port}"
        await a_mailer(url, answer_within=LONG, trust=certificate.trusted()).send(a_mail())

    assert len(catcher.mails) == 1
    assert catcher.commands[:5] == ["CONNECT", "EHLO", "STARTTLS", "EHLO", "AUTH"]


async def test_smtps_is_encrypted_from_the_first_byte(certificate):
    async with smtp_catcher(tls=certificate.for_server()) as catcher:
        url = f"smtps://127.0.0.1:{catcher.port}"
        await a_mailer(url, connect_within=LONG, trust=certificate.trusted()).send(a_mail())

    assert len(catcher.mails) == 1


async def test_without_starttls_neither_password_nor_mail_is_sent(catcher):
    failure = await failure_of(f"smtp://ada:sesame@127.0.0.1:{catcher.port}")

    assert type(failure) is TemporaryFailure
    assert "our configuration: the mail server offers no STARTTLS" in str(failure)
    assert catcher.commands == ["CONNECT", "EHLO"]


async def test_a_refused_starttls_sends_nothing(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        catcher.answer("STARTTLS", "454 4.7.0 no TLS today")
        failure = await failure_of(f"smtp://127.0.0.1:{catcher.port}", trust=certificate.trusted())

    assert type(failure) is TemporaryFailure
    assert "MAIL" not in catcher.commands


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted_by_starttls(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        failure = await failure_of(f"smtp://ada:sesame@127.0.0.1:{catcher.port}", answer_within=LONG, trust=None)

    assert type(failure) is TemporaryFailure
    assert "our configuration: the mail server's certificate is not trusted" in str(failure)
    assert catcher.commands == ["CONNECT", "EHLO", "STARTTLS"]


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted_by_smtps(certificate):
    async with smtp_catcher(tls=certificate.for_server()) as catcher:
        failure = await failure_of(f"smtps://127.0.0.1:{catcher.port}", connect_within=LONG, trust=None)

    assert "our configuration: the mail server's certificate is not trusted" in str(failure)
    assert catcher.mails == []


async def test_a_certificate_for_another_name_is_not_accepted(tmp_path):
    elsewhere = make_certificate(tmp_path, "DNS:elsewhere.example")

    async with smtp_catcher(tls=elsewhere.for_server()) as catcher:
        failure = await failure_of(f"smtps://127.0.0.1:{catcher.port}", connect_within=LONG, trust=elsewhere.trusted())

    assert "our configuration: the mail server's certificate is not trusted" in str(failure)
    assert catcher.mails == []


async def test_tls_spoken_to_a_server_that_does_not_is_our_configuration(catcher):
    failure = await failure_of(f"smtps://127.0.0.1:{catcher.port}", connect_within=LONG)

    assert type(failure) is TemporaryFailure
    assert "our configuration: no TLS could be agreed" in str(failure)


async def test_a_wrong_password_waits_until_it_has_been_put_right(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        url = f"smtp://ada:sesame@127.0.0.1:{catcher.port}"
        failure = await failure_of(url, answer_within=LONG, trust=certificate.trusted())

    assert type(failure) is TemporaryFailure
    assert "our configuration: the mail server answered 535" in str(failure)
    assert "AUTH" in str(failure)
    assert "MAIL" not in catcher.commands


async def test_a_user_directory_that_is_away_is_tried_again(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        catcher.answer("AUTH", "454 4.7.0 the directory is away")
        url = f"smtp://ada:lovelace@127.0.0.1:{catcher.port}"
        failure = await failure_of(url, answer_within=LONG, trust=certificate.trusted())

    assert type(failure) is TemporaryFailure
    assert "454 (4.7.0) to AUTH" in str(failure)


async def test_a_server_where_nobody_can_log_in_is_our_configuration(certificate):
    async with smtp_catcher(starttls=certificate.for_server()) as catcher:
        catcher.answer("EHLO", "250-catcher.test\r\n250 STARTTLS")
        url = f"smtp://ada:lovelace@127.0.0.1:{catcher.port}"
        failure = await failure_of(url, answer_within=LONG, trust=certificate.trusted())

    assert type(failure) is TemporaryFailure
    assert "our configuration: the mail server offers no way to log in" in str(failure)
