"""`mixed`: thousands of WebSockets and requests to a WSGI application, on one port of one process, for some minutes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from tests.bench.report import Report
from tests.bench.server import cpu_seconds, stop
from tests.bench.wsgi import hello
from tests.concurrency import TIMEOUT
from tests.server.command import Command, running
from tests.soak.footprint import Footprint

_CLIENTS = 10  # that send the requests in turn; one of them connects for each request
_SECONDS_ALONE = 10.0
_MAX_SECONDS = 0.1  # that a request or an echo may take
_PAGE = "a page of the application"

try:
    from flask import Flask
except ImportError:
    app: Any = hello
else:
    app = Flask(__name__)
    app.add_url_rule("/page", view_func=lambda: _PAGE, endpoint="page")


def run(seconds: float, sockets: int, rate: int) -> bool:
    """Measure. Return True if no request failed and no WebSocket was lost."""
    report = Report(f"mixed: {sockets:,} WebSockets and {rate} requests a second to the application on one port, for {seconds:g} s")
    if app is hello:
        report.remarks.append("the application is not one of Flask, which is not installed")
    options = ("--port", "0", "--app", "wschat.apps:echo", "--wsgi", "tests.bench.mixed:app", "--max-connections", str(sockets + 100))
    with running(*options, "--log-level", "error") as server:
        alone = Requests(server.port, rate, report)
        alone.send(min(seconds, _SECONDS_ALONE))
        report.add_times("requests without WebSockets", alone.took, _MAX_SECONDS)
        before = Footprint.of(server.process.pid)
        with holding(server, sockets, report) as opened:
            beside = Requests(server.port, rate, report)
            beside.send(seconds)
            report.add_times(f"requests beside {opened:,} WebSockets", beside.took, _MAX_SECONDS)
            report.add("requests answered", f"{len(beside.took):,}")
            now = Footprint.of(server.process.pid)
            report.add("the server's memory", f"{now.megabytes:,.0f} MB")
            report.add("for each WebSocket", f"{(now.megabytes - before.megabytes) * 1024 / sockets:.1f} KB")
            report.add("the server's threads", f"{now.threads:,}")
        report.add("the server's processor time", f"{cpu_seconds(server):.0f} s")
        stop(server, report)
    return report.show()


class Requests:
    """Requests on schedule. A late one is measured from the time at which it was due."""

    def __init__(self, port: int, rate: int, report: Report) -> None:
        self.took: list[float] = []
        """The seconds of each request."""
        self._port = port
        self._rate = rate
        self._report = report

    def send(self, seconds: float) -> None:
        """Send requests for this time."""
        begin_at = monotonic()
        clients = [threading.Thread(target=self._send_of, args=(number, begin_at, seconds)) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _send_of(self, client: int, begin_at: float, seconds: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        pause = threading.Event()
        for number in range(client, int(seconds * self._rate), _CLIENTS):
            due = begin_at + number / self._rate
            pause.wait(max(0.0, due - monotonic()))
            try:
                connection.request("GET", "/page")
                response = connection.getresponse()
                body = response.read().decode()
                if response.status != 200 or (app is not hello and body != _PAGE):
                    raise OSError(f"the response is {response.status} {body[:100]!r}")
            except (OSError, http.client.HTTPException) as error:
                self._report.problems.append(f"request {number}: {error!r}")
                connection.close()
            else:
                self.took.append(monotonic() - due)
            if client == 0:
                connection.close()
        connection.close()


@contextmanager
def holding(server: Command, sockets: int, report: Report) -> Iterator[int]:
    """Hold WebSockets from another process. Add what has happened to them to the report."""
    command = [sys.executable, "-m", "tests.bench.idle_sockets", str(server.port), str(sockets)]
    began_at = monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        report.add("opened within", f"{monotonic() - began_at:.1f} s")
        yield sockets
        output, _ = holder.communicate()
    figures = json.loads(output)
    report.add_times("echoes, 100 a second", figures["echoes"], _MAX_SECONDS)
    report.add("echoes received", f"{len(figures['echoes']):,}")
    report.add("pings answered", f"{figures['pings']:,}")
    if figures["closed"]:
        report.problems.append(f"{figures['closed']} WebSockets have ended early")
    if figures["missing"] > _CLIENTS:  # some are on their way
        report.problems.append(f"{figures['missing']} echoes are missing")
