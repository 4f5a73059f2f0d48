import pytest
from support.mails import LINK_SECRET, LONG, a_mailer
from support.smtp import smtp_catcher
from support.webhooks import webhook_receiver

from consumer_service.correspondence import Correspondence
from consumer_service.rendering import MailTemplates
from consumer_service.tokens import Tokens


@pytest.fixture
async def catcher():
    async with smtp_catcher() as running:
        yield running


@pytest.fixture
async def receiver():
    async with webhook_receiver() as running:
        yield running


@pytest.fixture(scope="session")
def templates():
    return MailTemplates()


@pytest.fixture
def tokens():
    return Tokens(secret=LINK_SECRET, base_url="https://app.example.org")


@pytest.fixture
def mailing(catcher, templates):
    """What every task that sends mail is built with."""
    return {
        "mailer": a_mailer(catcher.url, connect_within=LONG, answer_within=LONG),
        "correspondence": Correspondence(templates=templates, sender="Tidings <no-reply@example.org>"),
    }
