"""The result of a crowd: if every message arrived at every member once and in order, the rate, and the delays."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.bench.crowd import Crowd
from tests.bench.report import Report

# A measured speed is unreliable if the load generator was late by more than this.
_WORST_LAG = 0.02
_PROBLEMS_NAMED = 5


class Received(NamedTuple):
    """The messages of a transcript, in its order: number, sender, end position, and `seq` if it has one."""

    numbers: array[int]
    senders: array[int]
    ends: array[int]
    seqs: array[int]


def read(transcript: bytearray, pattern: re.Pattern[bytes], report: Report) -> Received:
    """Return the messages of a transcript that consists of matches of the pattern. Other events have no number."""
    received = Received(array("q"), array("q"), array("q"), array("q"))
    end = 0
    for match in pattern.finditer(transcript):
        if match.start() != end:
            break
        end = match.end()
        if match["number"] is None:
            continue
        received.numbers.append(int(match["number"]))
        received.senders.append(int(match["sender"]))
        received.ends.append(end)
        if "seq" in pattern.groupindex:
            received.seqs.append(int(match["seq"]))
    if end != len(transcript):
        report.problems.append(f"after {len(received.numbers):,} messages, something else arrived: {bytes(transcript[end : end + 300])!r}")
    return received


def check(crowd: Crowd, received: Received, report: Report) -> None:
    """Check that every member received every message once and in order."""
    sent, talkers = len(crowd.sent_at), len(crowd.talkers)
    missing = set(range(sent)).difference(received.numbers)
    if missing:
        report.problems.append(f"{len(missing):,} messages reached no member, number {min(missing):,} for example")
    if len(set(received.numbers)) < len(received.numbers):
        report.problems.append(f"{len(received.numbers) - len(set(received.numbers)):,} messages were sent twice")
    if any(later != earlier + 1 for earlier, later in pairwise(received.seqs)):
        report.problems.append("the numbers of the room have holes, or are not in order")
    if any(number % talkers != sender for number, sender in zip(received.numbers, received.senders, strict=True)):
        report.problems.append("messages have the name of a member that did not send them")
    latest = [-1] * talkers
    for number in received.numbers:
        if number < latest[number % talkers]:
            report.problems.append(f"messages {latest[number % talkers]} and {number} of one member arrived in the wrong order")
            break
        latest[number % talkers] = number
    failures = [f"member {member.number} {member.failure}" for member in crowd.members if member.failure]
    if len(failures) > _PROBLEMS_NAMED:
        failures[_PROBLEMS_NAMED:] = [f"the same for {len(failures) - _PROBLEMS_NAMED} other members"]
    report.problems += failures
    behind = sum(1 for member in crowd.members if not member.failure and member.position < len(crowd.transcript))
    if behind:
        report.problems.append(f"{behind} members did not receive all messages")


def report_deliveries(crowd: Crowd, received: Received, report: Report, *, per_second: int, seconds: float) -> None:
    """Report the rate and the delays, with the required rate and the required 99th percentile in seconds."""
    deliveries = sum(bisect_right(received.ends, member.position) for member in crowd.members)
    share = deliveries / (len(crowd.sent_at) * len(crowd.members))
    moments = [at for member in crowd.members for at, _ in member.arrivals or ()]
    took = max(moments, default=0) - min(moments, default=0)
    report.add_rate("deliveries", deliveries / took if took else 0, per_second)
    report.add("share delivered", f"{share:.3%}", required="99.9%", is_met=share >= 0.999)
    report.add_times("say to delivery", delivery_times(crowd, received), seconds)


def delivery_times(crowd: Crowd, received: Received) -> list[float]:
    """Return the delay of each message to each timed member."""
    times = []
    for member in crowd.members:
        arrivals = member.arrivals or []
        positions = [position for _, position in arrivals]
        for number, end in zip(received.numbers, received.ends, strict=True):
            read = bisect_left(positions, end)  # the read with the end of the message
            if read < len(arrivals):
                times.append(arrivals[read][0] - crowd.sent_at[number])
    return times


def rate_of(times: Sequence[float]) -> float:
    """Return the rate of events between the first and the last of these times."""
    return (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 else 0.0


def report_lag(crowd: Crowd, report: Report) -> None:
    """Add a note if the load generator was late itself."""
    report.add("the load generator's worst lag", f"{1000 * crowd.worst_lag:.1f} ms")
    if crowd.worst_lag > _WORST_LAG:
        report.remarks.append("the load generator was late itself, or its machine was busy: the server may be faster than shown")
