import pytest
from support.smtp import make_certificate, smtp_catcher
from support.webhooks import webhook_receiver


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def catcher():
    async with smtp_catcher() as running:
        yield running


@pytest.fixture
async def receiver():
    async with webhook_receiver() as running:
        yield running
