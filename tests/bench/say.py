"""`say`: one busy room of `wschat.v1`, and every message made durable before it is delivered and acknowledged."""

from __future__ import annotations

import json
import re
from contextlib import closing, nullcontext

from tests.bench import findings
from tests.bench.crowd import TEXT_PATTERN, Crowd, Member, masked, text_of
from tests.bench.report import Report
from tests.bench.server import history_file, serving, stop, watch
from wschat.brokers.base import Retention
from wschat.brokers.opening import open_broker
from wschat.v1 import SUBPROTOCOL

_MEMBERS = 100
_TALKERS = 20
_REQUIRED_MESSAGES = 10_000
_REQUIRED_SECONDS = 0.05
_ROWS_TOGETHER = 10_000

_MESSAGE = re.compile(
    rb'\x81\x7e..\{"type":"message","room":"bench","seq":(?P<seq>\d+),"from":"m(?P<sender>\d+)","text":"'
    + TEXT_PATTERN
    + rb'","time":[\d.]+\}|\x81.\{"type":"member"[^}]+\}',
    re.DOTALL,
)
_BEGIN = re.compile(rb'"text":"begin","time":[\d.]+\}\Z')

Acks = dict[int, tuple[float, int]]
"""The time of each message's ack and its number in the room, by the number in its text."""


def run(seconds: float, rate: int, broker: str | None = None) -> bool:
    """Measure, with the URL of an empty broker or a file. Return True if no message was lost, repeated or out of order."""
    report = Report(f"say: {_MEMBERS} members, {_TALKERS} of them talking, {rate:,} messages a second for {seconds:g} s")
    with nullcontext(broker) if broker else history_file() as history:
        with serving(history) as server:
            crowd = Crowd(join_all(server.port), _TALKERS, _say, acks=True)
            usage = watch(server, lambda: crowd.run(rate, seconds))
            crowd.close()
            stop(server, report)
        acks = read_acks(crowd, report)
        received = findings.read(crowd.transcript, _MESSAGE, report)
        findings.check(crowd, received, report)
        if dict(zip(received.numbers, received.seqs, strict=True)) != {number: seq for number, (_, seq) in acks.items()}:
            report.problems.append("not all messages were acknowledged with the number that they were delivered with")
        check_history(str(history), acks, report)
    report.add_rate("offered", findings.rate_of(crowd.sent_at), _REQUIRED_MESSAGES)
    report.add_rate("acknowledged and durable", findings.rate_of([at for at, _ in acks.values()]), _REQUIRED_MESSAGES)
    findings.report_deliveries(crowd, received, report, per_second=_REQUIRED_MESSAGES * _MEMBERS, seconds=_REQUIRED_SECONDS)
    report.add_times("say to ack", [at - crowd.sent_at[number] for number, (at, _) in acks.items()], _REQUIRED_SECONDS)
    usage.show_in(report)
    findings.report_lag(crowd, report)
    return report.show()


def join_all(port: int) -> list[Member]:
    """Return the members when all are in the room and have received all earlier messages."""
    members = [Member(number, port, f"/?name=m{number}", SUBPROTOCOL) for number in range(_MEMBERS)]
    for member in members:
        member.socket.sendall(masked(b'{"type":"join","room":"bench"}'))
        member.read_until(lambda received: b'"type":"joined"' in received and received.endswith(b"}"))
    # The members still get events about those who joined later. A message sent now arrives after these, so every member waits for it.
    members[0].socket.sendall(masked(b'{"type":"say","room":"bench","text":"begin"}'))
    for member in members:
        member.read_until(_BEGIN.search)
    return members


def _say(number: int) -> bytes:
    return masked(b'{"type":"say","room":"bench","text":"%b","id":"%d"}' % (text_of(number), number))


def read_acks(crowd: Crowd, report: Report) -> Acks:
    """Return all acks. Check that each is for a message of its member, and the only one for it."""
    acks: Acks = {}
    for member in crowd.talkers:
        for at, ack in member.acks:
            fields = json.loads(ack)
            number = int(fields["id"])
            if number in acks or number >= len(crowd.sent_at) or number % len(crowd.talkers) != member.number:
                report.problems.append(f"member {member.number} got an ack too many: {ack!r}")
            acks[number] = at, fields["seq"]
    if len(acks) < len(crowd.sent_at):
        report.problems.append(f"{len(crowd.sent_at) - len(acks):,} messages were not acknowledged")
    return acks


def check_history(url: str, acks: Acks, report: Report) -> None:
    """Check that the history has every acknowledged message."""
    wanted = {seq: (f"m{number % _TALKERS}", text_of(number).decode()) for number, (_, seq) in acks.items()}
    with closing(open_broker(url, Retention(0, 0))) as broker:
        last = 0
        while messages := broker.read_since("bench", last, _ROWS_TOGETHER):
            for message in messages:
                if wanted.get(message.seq) == (message.sender, message.text):
                    del wanted[message.seq]
            last = messages[-1].seq
    if wanted:
        report.problems.append(f"{len(wanted):,} messages were acknowledged and are not in the history, number {min(wanted)} for example")
