"""Where each subscriber's effects and dead letters are seen: one account for each, and what a death left in doubt."""

import hmac
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from support.administrator import Administrator
from support.bookkeeping import Bookkeeping, Indexing, indexed
from support.ledger import AMBIGUOUS, Account
from support.peeking import header, peek
from support.smtp import SmtpCatcher
from support.subscribers import ALL, ANNOUNCEMENT, Announcing
from support.tasks import effects
from support.webhooks import Received, WebhookReceiver

from consumer_service.claim import Status
from consumer_service.dispatch import AnyTask
from consumer_service.models import DeadLetterRow, DeathRow, InboxMessage
from consumer_service.queues import queue_name, topology_of
from consumer_service.tasks.notify_operators import NotifyOperators
from consumer_service.tasks.verification_mail import SendVerificationMail
from shared.topology import Topology

Effects = Mapping[str, Sequence[str]]

WEBHOOK_SECRET = "a-secret-of-the-receiver"


@dataclass
class Books:
    """The effects of everything that subscribers have done, and their dead letters."""

    admin: Administrator
    inbox: AsyncEngine
    smtp: SmtpCatcher
    calls: WebhookReceiver
    subscribers: Sequence[type[AnyTask]]
    in_doubt: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By the name of a task, the messages that it had begun and not finished when a worker died."""

    @property
    def topology(self) -> Topology:
        """What all subscribers need."""
        return topology_of(self.subscribers)

    @property
    def queues(self) -> list[str]:
        """The queues that they listen to, without those of other lanes."""
        return list(dict.fromkeys(queue_name(task.queue) for task in self.subscribers))

    @property
    def are_all_kept(self) -> bool:
        """Whether there is a subscriber for each guarantee, and a collector of dead letters."""
        return tuple(self.subscribers) == ALL

    async def accounts(
        self, addresses: Mapping[str, str], *, may_repeat: set[str], refused: set[str]
    ) -> tuple[Account, ...]:
        """Read every account, given whose address belongs to which message, and what tasks refuse for good.

        What is refused at most once may be dead as ambiguous: when the session ends before it is in dead letters, it
        comes again, and is not tried again to find out.
        """
        accounts = [
            await self._account(SendVerificationMail, self._mails(addresses), may_repeat=may_repeat),
            await self._account(Bookkeeping, _rows(await effects(self.inbox)), may_repeat=set()),
        ]
        if self.are_all_kept:
            accounts += [
                await self._account(NotifyOperators, self._called("user.created"), may_repeat=may_repeat),
                await self._account(Announcing, self._called(ANNOUNCEMENT), may_repeat=refused),
                await self._account(Indexing, _rows(await indexed(self.inbox)), may_repeat=set()),
            ]
        return tuple(accounts)

    async def _account(self, task: type[AnyTask], done: Effects, *, may_repeat: set[str]) -> Account:
        """`may_repeat` is what may look like a repetition; where nothing is repeated, what may be ambiguous."""
        queue, doubt = queue_name(task.queue), self.in_doubt[task.__name__]
        dead = await self.dead(queue)
        if task is Announcing:
            return Account(queue, done, dead, may_be_ambiguous=doubt | may_repeat)
        repeats = may_repeat | doubt if task in {SendVerificationMail, NotifyOperators} else frozenset[str]()
        return Account(queue, done, dead, may_repeat=repeats)

    def _mails(self, addresses: Mapping[str, str]) -> Effects:
        found = defaultdict(list)
        for mail in self.smtp.mails:
            found[addresses[str(mail["to"])]].append(str(mail["message-id"]))
        return found

    def _called(self, kind: str) -> Effects:
        found = defaultdict(list)
        for call in self.calls.requests:
            assert is_signed(call), call
            if call.headers["webhook-event"] == kind:
                found[str(json.loads(call.body)["id"])].append(call.headers["idempotency-key"])
        return found

    async def dead(self, queue: str) -> dict[str, str]:
        """Return the reason of each of a queue's dead letters, by message id, on the broker or collected.

        Copies of one message may die for different reasons: at most once means that a copy of what has died is not
        tried again. What it died of first is then the reason, and not that it is ambiguous.
        """
        found = await peek(self.admin.url, f"{queue}.dead")
        standing = [(message.message_id or "", str(header(message, "tidings-reason"))) for message in found]
        reasons = defaultdict(list)
        for message, reason in [*await self._collected(queue), *standing]:
            reasons[message].append(reason)
        return {message: min(each, key=AMBIGUOUS.__eq__) for message, each in reasons.items()}

    async def _collected(self, queue: str) -> Sequence[tuple[str, str]]:
        """Return every death in the table, by message id; of a message there must not be two rows."""
        columns = (DeadLetterRow.id, DeadLetterRow.message_id, DeathRow.reason)
        deaths = select(*columns).join(DeathRow, DeathRow.dead_letter_id == DeadLetterRow.id)
        async with self.inbox.connect() as connection:
            rows = (await connection.execute(deaths.where(DeadLetterRow.queue == queue).order_by(DeathRow.id))).all()
        numbers = {row.id: row.message_id for row in rows}
        assert len(numbers) == len(set(numbers.values())), f"{queue}: collected twice: {numbers}"
        return [(row.message_id, row.reason) for row in rows]

    async def note_death(self) -> None:
        """Remember what a worker that has just died may have had in hand: everything begun and not finished.

        What it had sent to the mail server is read before, lest a mail be taken after this.
        """
        await self.smtp.left()
        begun = select(InboxMessage.task, InboxMessage.message_id).where(InboxMessage.status == Status.STARTED)
        async with self.inbox.connect() as connection:
            for row in await connection.execute(begun):
                self.in_doubt[row.task].add(row.message_id)


def _rows(counted: Mapping[str, int]) -> Effects:
    return {message: [message] * times for message, times in counted.items()}


def is_signed(call: Received) -> bool:
    """Whether a call was signed by who knows the secret."""
    signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body
    signature = hmac.digest(WEBHOOK_SECRET.encode(), signed, "sha256").hex()
    return hmac.compare_digest(call.headers["webhook-signature"], f"v1={signature}")


def users_in(rows: Mapping[str, bytes]) -> Iterator[tuple[str, str, str]]:
    """Return the message, address and name of every user who is told of, also in what no client was told of."""
    for message, payload in rows.items():
        try:
            user = json.loads(payload)["data"]
            yield message, str(user["email"]), str(user["name"])
        except (ValueError, KeyError):
            continue
