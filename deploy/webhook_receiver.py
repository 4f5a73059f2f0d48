"""Stands where your webhook endpoint will stand: checks each signature and prints each notification, one line each.

Reads TIDINGS_WEBHOOK_SECRET; listens on port 9000. Needs only Python.
"""

import hmac
import json
import os
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGEST_BODY = 64 * 1024
OLDEST_SECONDS = 300
"""A signed notification that is older may have been recorded and sent again by somebody else."""


def judge(headers: "dict[str, str]", body: bytes, *, secret: bytes, now: float) -> HTTPStatus:
    """Return 204 for a notification that is signed with the secret and fresh, else 401."""
    told, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    expected = "v1=" + hmac.digest(secret, f"{told}.{sent}.".encode() + body, "sha256").hex()
    fresh = sent.isdigit() and abs(now - int(sent)) <= OLDEST_SECONDS
    signed = hmac.compare_digest(expected, headers.get("webhook-signature", ""))
    return HTTPStatus.NO_CONTENT if fresh and signed else HTTPStatus.UNAUTHORIZED


class Receiver(BaseHTTPRequestHandler):
    """Answers POST with a judgement, and GET with 200 so that health checks pass."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        """Say that we are here."""
        self._answer(HTTPStatus.OK)

    def do_POST(self) -> None:
        """Judge one notification and print it."""
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = judge(headers, body, secret=os.environb[b"TIDINGS_WEBHOOK_SECRET"], now=time.time())
        line = {"status": int(status), "id": headers.get("webhook-id"), "body": body.decode(errors="replace")}
        print(json.dumps(line), flush=True)
        self._answer(status)

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing else."""


if __name__ == "__main__":
    if "TIDINGS_WEBHOOK_SECRET" not in os.environ:
        sys.exit("TIDINGS_WEBHOOK_SECRET is not set")
    ThreadingHTTPServer(("", 9000), Receiver).serve_forever()
