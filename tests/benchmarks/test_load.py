import asyncio

import pytest
from benchmarks.load import post_at_pace

ANSWERS = {
    b"accepted": b"HTTP/1.1 202 Accepted\r\n",
    b"refused": b"HTTP/1.1 503 Service Unavailable\r\n",
    b"hung up": b"",
}
NO_BODY = b"Content-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def url():
    """Serve whoever says in the body how to be answered."""

    async def serve(reader, writer):
        asked = await reader.readuntil(b'"}')
        answer = next(answer for word, answer in ANSWERS.items() if word in asked)
        writer.write(answer and answer + NO_BODY)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_every_request_is_timed_and_what_is_not_answered_counts_among_the_refused(url):
    asked = [{"answer": word.decode()} for word in ANSWERS]

    milliseconds, refused = await post_at_pace(url, asked, rate=1000)

    assert (len(milliseconds), refused) == (3, 2)
