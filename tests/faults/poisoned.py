"""A worker for mails that one message kills: `python -m faults.poisoned`, with TIDINGS_POISON the address in it."""

import asyncio
import os

from consumer_service.correspondence import Correspondence
from consumer_service.database import open_engine
from consumer_service.effects.mailer import Mailer
from consumer_service.mail import Mail
from consumer_service.registry import mail_tasks
from consumer_service.rendering import MailTemplates
from consumer_service.settings import Settings, load_settings
from consumer_service.tasks.verification_mail import SendVerificationMail
from consumer_service.tokens import Tokens
from consumer_service.worker import Worker
from producer_service.serving import stopped_by_signals
from shared.backends import open_transport
from shared.logs import configure_logs

EXIT_CODE = 86


class PoisonableMailer(Mailer):
    """Ends the process over one address, as a bug in a library or the kernel's hunt for memory does."""

    async def send(self, mail: Mail) -> None:
        if mail.to == os.environ["TIDINGS_POISON"]:
            os._exit(EXIT_CODE)
        await super().send(mail)


async def main() -> None:
    settings, stop = load_settings(Settings), asyncio.Event()
    engine = open_engine(settings.database_url)
    tasks = mail_tasks(
        mailer=PoisonableMailer(settings.mail_url or ""),
        correspondence=Correspondence(templates=MailTemplates(), sender=settings.mail_from or ""),
        tokens=Tokens(secret="a secret of more than thirty-two characters", base_url=settings.link_base_url or ""),
    )
    ours = [task for task in tasks if isinstance(task, SendVerificationMail)]
    transport = open_transport(settings.broker_url, name="poisoned")
    with stopped_by_signals(stop):
        await Worker(settings=settings, transport=transport, engine=engine, tasks=ours).run(stop)
    await engine.dispose()


if __name__ == "__main__":
    configure_logs("consumer")
    asyncio.run(main())
