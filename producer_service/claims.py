"""Which outbox rows may be published now, and what became of them. All SQL of the relay's main path is here.

On PostgreSQL a claim holds its rows' locks in one transaction until they are marked, so several relays share the
work: others skip those rows. A relay that freezes is fenced off by the server, which ends a transaction that idles
too long: the locks are free again, and the late mark fails. SQLite has no row locks: there must be one relay, and
since its driver begins a transaction at the first write, nobody is kept waiting while the relay publishes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    Table,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from producer_service.clock import FromNow, now
from producer_service.driver import Execute, transaction
from producer_service.models import OutboxRow, Status, written_out
from producer_service.verdicts import Parked, Postponed, Published, Verdict
from shared.contracts import Lane

OUTBOX = cast("Table", OutboxRow.__table__)

CLAIMING: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_sort": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "synchronous_commit": "off",
}
"""How PostgreSQL is to treat connections that only claim and mark.

*In index order.* An outbox swings between nothing and millions of rows faster than its statistics are gathered, and
with stale ones PostgreSQL sorts the whole backlog for every claim (measured: 2 s, not 4 ms). Once it may use the
indexes only, there is one plan whatever the values are: made once a connection, and not for each claim (0.5 ms).

*Not waiting for the disk.* Whether a claim was marked may be forgotten by a database server that crashes, for less than
a second and only as a whole. Its rows are pending again then, and are published again under the same ids, as after any
crash of a relay between confirm and mark. What the marks speak of was committed durably, by whoever recorded it.
"""


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """What the relay needs of a row to publish it."""

    position: int
    id: str
    aggregateid: str
    type: str
    exchange: str
    lane: int
    payload: bytes
    source: str
    correlationid: str
    time: datetime
    attempts: int


class Claim:
    """Rows that this relay may publish now, in the order of recording, for as long as the claim is open."""

    def __init__(self, found: Sequence[Sequence[Any]], asked: int, execute: Execute, publish: Update) -> None:
        """Leave out rows that must wait for an earlier one of their aggregate, which is not in this claim.

        A row that was found begins with its position and ends with its stranger, as `_search` says.
        """
        found = sorted(found, key=itemgetter(0))
        self.rows = [ClaimedRow(*row[:-1]) for row in found if row[-1] is None or row[0] < row[-1]]
        self.last: int = found[-1][0] if found else 0
        """The position of the last row looked at; 0 when there was none."""
        self.full = len(found) == asked
        """Whether as many rows were found as were asked for, so that there may be more."""
        self.left_out = len(self.rows) < len(found)
        """Whether any row must wait for one that is in somebody else's claim."""
        self._execute = execute
        self._publish = publish

    async def mark(self, verdicts: Sequence[Verdict]) -> None:
        """Write down what became of rows of this claim; it counts once the claim has ended without an error."""
        published = [verdict.position for verdict in verdicts if isinstance(verdict, Published)]
        if published:
            await self._execute(self._publish, {"these": published})
        for verdict in verdicts:
            if isinstance(verdict, Parked):
                await self._execute(_park(), _parameters(verdict))
            elif isinstance(verdict, Postponed):
                await self._execute(_postpone(), _parameters(verdict))


class Claims:
    """Opens claims on one lane of an outbox, which neither waits for rows of another nor holds them back."""

    def __init__(self, engine: AsyncEngine, lane: Lane = Lane.NORMAL) -> None:
        """Claim what stands in this lane.

        Use one connection of this engine's pool for each claim that is open; it should be opened as `CLAIMING`.
        """
        self._engine = engine
        self._search = _search(lane)
        self._publish = _publish(engine.dialect.name)
        self.side_by_side = 4 if engine.dialect.name == "postgresql" else 1
        """How many claims one relay may have open at once.

        A message that is committed waits for a claim that is free; with four, one in a hundred waits longer than 6 ms
        at 200 a second, and with two, 20 ms.
        """

    @asynccontextmanager
    async def open(self, most: int, *, after: int = 0) -> AsyncIterator[Claim]:
        """Claim up to `most` pending rows beyond position `after`. Marks commit when the context is left.

        A row is left out while an earlier row of its aggregate is parked, postponed, or in another relay's claim.
        Leaving by an exception forgets the marks.
        """
        async with transaction(self._engine) as execute:
            found = await execute(self._search, {"most": most, "after": after})
            yield Claim(found, most, execute, self._publish)


def _is(column: Any, status: Status) -> ColumnElement[bool]:
    return column == written_out(status)  # type: ignore[no-any-return]  # SQLAlchemy types a comparison as Any


def _stands_in(column: Any, lane: Lane) -> ColumnElement[bool]:
    """Write the lane out, so that the one plan for all values is made for this one."""
    return column == literal_column(str(int(lane)), Integer)  # type: ignore[no-any-return]  # the same: Any


def _search(lane: Lane) -> Select[Any]:
    """Lock claimable rows; beside each stands the first unpublished row of its aggregate that we could not lock.

    One statement sees one snapshot: rows of an aggregate that were committed one after another are seen as a
    beginning of that line, never with a gap.
    """
    claimed, other = _claimable(lane).cte("claimed"), aliased(OutboxRow)
    stranger = select(func.min(other.position)).where(
        _stands_in(other.lane, lane),
        other.status.in_([written_out(Status.PENDING), written_out(Status.PARKED)]),
        other.aggregateid == claimed.c.aggregateid,
        other.position < claimed.c.position,
        other.position.not_in(select(claimed.c.position).correlate(None)),
    )
    # Asked for each row by itself, which cannot be planned as anything but a look into the index. As a join it is
    # planned by statistics, and on a table that has none yet each row reads the whole index (measured: 400 ms, not 5).
    return select(claimed, stranger.correlate(claimed).scalar_subquery().label("stranger"))


def _claimable(lane: Lane) -> Select[Any]:
    """Select rows that nothing we can see holds back, in the order of recording, and lock them."""
    row, held = aliased(OutboxRow), aliased(OutboxRow)
    is_parked, is_pending = _is(held.status, Status.PARKED), _is(held.status, Status.PENDING)
    earlier = select(held.position).where(
        _stands_in(held.lane, lane),
        held.aggregateid == row.aggregateid,
        held.position < row.position,
        or_(is_parked, and_(is_pending, held.available_at.is_not(None))),
        or_(is_parked, held.available_at > now()),
    )
    return (
        select(*(getattr(row, name) for name in ClaimedRow.__slots__))
        .where(
            _is(row.status, Status.PENDING),
            _stands_in(row.lane, lane),
            row.position > bindparam("after", type_=BigInteger),
            or_(row.available_at.is_(None), row.available_at <= now()),
            # OFFSET 0 keeps PostgreSQL from turning this into a join, which it would plan by stale statistics.
            ~exists(earlier.offset(literal_column("0"))),
        )
        .order_by(row.position)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(of=row, skip_locked=True)
    )


@cache
def _publish(dialect: str) -> Update:
    """Return one statement for any number of rows where there are arrays; else one is prepared for every number."""
    has_arrays = dialect == "postgresql"
    array = any_(bindparam("these", type_=ARRAY(BigInteger)))
    these = OUTBOX.c.position == array if has_arrays else OUTBOX.c.position.in_(bindparam("these", expanding=True))
    return _mark(these, status=Status.PUBLISHED, published_at=now(), available_at=None, last_error=None)


@cache
def _park() -> Update:
    reason, error = bindparam("the_reason", type_=Text), bindparam("the_error", type_=Text)
    return _mark(_this(), status=Status.PARKED, available_at=None, parked_reason=reason, last_error=error)


@cache
def _postpone() -> Update:
    delay, error = bindparam("the_delay", type_=Float), bindparam("the_error", type_=Text)
    return _mark(_this(), available_at=FromNow(delay), last_error=error)


def _this() -> ColumnElement[bool]:
    return OUTBOX.c.position == bindparam("the_position")


def _parameters(verdict: Parked | Postponed) -> dict[str, Any]:
    """Name them unlike the columns; SQLAlchemy would set a column that is named among the parameters."""
    return {f"the_{name}": value for name, value in asdict(verdict).items()}


def _mark(rows: ColumnElement[bool], **values: Any) -> Update:
    """Mark rows that are still pending. On SQLite, and only there, somebody else may have marked them meanwhile."""
    still_pending = _is(OUTBOX.c.status, Status.PENDING)
    return update(OUTBOX).where(rows, still_pending).values(attempts=OUTBOX.c.attempts + 1, **values)
