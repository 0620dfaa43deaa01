"""`chat`: a thousand plain-text clients in one room, all of which send, with the history on disk."""

from __future__ import annotations

import re

from tests.bench import findings
from tests.bench.crowd import TEXT_PATTERN, Crowd, Member, masked, text_of
from tests.bench.report import Report
from tests.bench.server import history_file, serving, stop, watch

_MEMBERS = 1000
_REQUIRED_MESSAGES = 2000
_REQUIRED_SECONDS = 0.08

_MESSAGE = re.compile(rb"\x81.m(?P<sender>\d+): " + TEXT_PATTERN, re.DOTALL)


def run(seconds: float, rate: int) -> bool:
    """Measure. Return True if no message was lost, repeated or out of order."""
    report = Report(f"chat: {_MEMBERS:,} plain-text members, all talking, {rate:,} messages a second in all for {seconds:g} s")
    with history_file() as file, serving(file) as server:
        crowd = Crowd(join_all(server.port), _MEMBERS, lambda number: masked(text_of(number)), acks=False)
        usage = watch(server, lambda: crowd.run(rate, seconds))
        crowd.close()
        stop(server, report)
    received = findings.read(crowd.transcript, _MESSAGE, report)
    findings.check(crowd, received, report)
    report.add_rate("offered", findings.rate_of(crowd.sent_at), _REQUIRED_MESSAGES)
    findings.report_deliveries(crowd, received, report, per_second=_REQUIRED_MESSAGES * _MEMBERS, seconds=_REQUIRED_SECONDS)
    usage.show_in(report)
    findings.report_lag(crowd, report)
    return report.show()


def join_all(port: int) -> list[Member]:
    """Return the members when all are in the room and have received all earlier messages."""
    members = [Member(number, port, f"/?name=m{number}") for number in range(_MEMBERS)]
    for member in members:
        # A client that got the greeting is about to enter the room; a client that got a reply has entered it.
        member.socket.sendall(masked(b"/rooms"))
        member.read_until(lambda received: b"Rooms: " in received and received.endswith(b"."))
    members[0].socket.sendall(masked(b"begin"))
    for member in members:
        member.read_until(lambda received: received.endswith(b"m0: begin"))
    return members
