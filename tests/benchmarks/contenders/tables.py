"""The tables of the bench beside the inbox: what tasks write, and the smallest inbox a peer can be given."""

from uuid import UUID

from sqlalchemy import Column, MetaData, Table, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped

METADATA = MetaData()
EFFECTS = Table("effects", METADATA, Column("message_id", Text), Column("user_id", Uuid))
PEER_INBOX = Table("peer_inbox", METADATA, Column("message_id", Text, primary_key=True))
PEER_USERS = Table(
    "peer_users", METADATA, Column("id", Uuid, primary_key=True), Column("email", Text), Column("name", Text)
)


class Base(DeclarativeBase):
    """The tables above as objects, for those who write them so."""

    metadata = METADATA


class Effect(Base):
    """What a task did with one message. Could be there twice, as far as the database goes: so we would see it."""

    __table__ = EFFECTS
    __mapper_args__ = {"primary_key": [EFFECTS.c.message_id]}  # noqa: RUF012 - SQLAlchemy's, and read once

    message_id: Mapped[str]
    user_id: Mapped[UUID]
