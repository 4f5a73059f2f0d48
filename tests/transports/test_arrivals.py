import pamqp.frame
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from support.frames import payload_of

from shared.backends.rabbitmq.arrivals import Arrivals


class Heard:
    def __init__(self) -> None:
        self.messages = []
        self.arrivals = Arrivals(lambda tag, redelivered, message: self.messages.append((tag, redelivered, message)))

    def hear(self, *frames) -> list[bool]:
        written = [pamqp.frame.marshal(frame, 1) for frame in frames]
        return [self.arrivals.hear(frame[0], payload_of(frame)) for frame in written]


def a_delivery(tag: int, *bodies: bytes, redelivered: bool = False, **properties):
    size = sum(map(len, bodies))
    return [
        spec.Basic.Deliver("c", tag, redelivered, "domain.events", "user.created"),
        ContentHeader(properties=spec.Basic.Properties(**properties), body_size=size),
        *map(ContentBody, bodies),
    ]


def test_a_delivery_in_several_frames_arrives_whole():
    heard = Heard()

    taken = heard.hear(*a_delivery(7, b"{", b"}", redelivered=True, message_id="m", app_id="/s", message_type="a.b"))

    assert all(taken)
    ((tag, redelivered, message),) = heard.messages
    assert (tag, redelivered, message.body) == (7, True, b"{}")
    assert (message.message_id, message.source, message.type, message.headers) == ("m", "/s", "a.b", {})


def test_a_delivery_without_a_body_arrives_at_its_header():
    heard = Heard()

    heard.hear(*a_delivery(1), *a_delivery(2, b"x"))

    assert [(tag, message.body) for tag, _, message in heard.messages] == [(1, b""), (2, b"x")]


def test_headers_arrive_with_the_attempt_they_count():
    heard = Heard()

    heard.hear(*a_delivery(1, b"x", headers={"tidings-attempt": 3, "x-death": [{"count": 1}]}))

    assert heard.messages[0][2].attempt == 3
    assert heard.messages[0][2].headers == {"tidings-attempt": 3}


def test_whatever_is_no_delivery_is_left_to_the_library():
    heard = Heard()
    returned = spec.Basic.Return(312, "NO_ROUTE", "e", "k")

    taken = heard.hear(spec.Basic.CancelOk("c"), returned, ContentHeader(body_size=1), ContentBody(b"x"))

    assert not any(taken)
    assert not heard.messages
