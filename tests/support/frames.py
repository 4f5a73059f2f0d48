"""AMQP frames as a foreign client might send them."""

FRAME_HEAD, FRAME_END = 7, 1


def a_header(properties: bytes, flags: int, size: int = 2) -> bytes:
    payload = b"\x00\x3c\x00\x00" + size.to_bytes(8, "big") + flags.to_bytes(2, "big") + properties
    return b"\x02\x00\x01" + len(payload).to_bytes(4, "big") + payload + b"\xce"


def payload_of(frame: bytes) -> bytes:
    return frame[FRAME_HEAD:-FRAME_END]


def a_nested_table(depth: int) -> bytes:
    table = b"\x00\x00\x00\x00"
    for _ in range(depth):
        table = (len(table) + 3).to_bytes(4, "big") + b"\x01aF" + table
    return table


UNDECODABLE = {
    "a timestamp beyond the calendar": a_header(b"\xff" * 8, 64),
    "a type that is not utf-8": a_header(b"\x02\xff\xfe", 32),
    "a header table of an unknown kind": a_header(b"\x00\x00\x00\x04\x01a?\x00", 8192),
    "a table that claims more than there is": a_header(b"\x00\x00\xff\xff\x01a", 8192),
    "a table nested deeper than the stack": a_header(a_nested_table(3000), 8192),
}
