"""The tables of the bench beside the inbox: what tasks write, and the smallest inbox a peer can be given."""

from sqlalchemy import Column, MetaData, Table, Text, Uuid

METADATA = MetaData()
EFFECTS = Table("effects", METADATA, Column("message_id", Text), Column("user_id", Uuid))
PEER_INBOX = Table("peer_inbox", METADATA, Column("message_id", Text, primary_key=True))
PEER_USERS = Table(
    "peer_users", METADATA, Column("id", Uuid, primary_key=True), Column("email", Text), Column("name", Text)
)
