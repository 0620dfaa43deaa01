"""`wsgi`: a WSGI application on our server beside the servers that are installed, under wrk; and the latency beside open WebSockets."""

from __future__ import annotations

import importlib.util
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter

import wschat
from tests.bench.report import Report
from tests.concurrency import TIMEOUT, eventually

BODY = b"Hello, world!\n"
_CONNECTIONS = 10
_SOCKETS = 100
_REQUESTS = 1000
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_REQUIRED_TIMES_ALONE = 1.2
# The module that must be installed, and the program of the server; the port is its argument.
SERVERS = {
    "wschat": ("wschat", "import wschat; from wschat.apps import echo; wschat.serve(echo, port=port, wsgi=hello).serve_forever()"),
    "gunicorn gthread": (
        "gunicorn",
        "import sys; sys.argv[1:] = ['-k', 'gthread', '--threads', '16', '--keep-alive', '60', '-b', f'127.0.0.1:{port}', "
        "'tests.bench.wsgi:hello']; from gunicorn.app.wsgiapp import run; run()",
    ),
    "waitress": ("waitress", "import waitress; waitress.serve(hello, host='127.0.0.1', port=port, threads=16, _quiet=True)"),
    "cheroot": ("cheroot", "from cheroot.wsgi import Server; Server(('127.0.0.1', port), hello, numthreads=16).start()"),
    "werkzeug": (
        "werkzeug",
        "from werkzeug.serving import WSGIRequestHandler as Handler, run_simple; Handler.protocol_version = 'HTTP/1.1'; "
        "Handler.log_request = lambda *_: None; run_simple('127.0.0.1', port, hello, threaded=True)",
    ),
}
_PRELUDE = "import sys; port = int(sys.argv[1]); from tests.bench.wsgi import hello; "


def hello(environ: dict[str, object], start_response: object) -> list[bytes]:
    """The application."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])  # type: ignore[operator]
    return [BODY]


def run(rounds: int, seconds: float) -> bool:
    """Measure. Return True if every response was right."""
    report = Report(f"wsgi: hello world over {_CONNECTIONS} connections, {rounds} rounds of {seconds:g} s")
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serving(program)) for name, (module, program) in SERVERS.items() if is_installed(module)}
        if shutil.which("wrk"):
            show_rates(report, urls, rounds, seconds)
        else:
            report.remarks.append("no rates: they need wrk (apt install wrk)")
        show_latency(report, urls["wschat"], rounds)
    return report.show()


def is_installed(module: str) -> bool:
    """Return True if a module can be imported."""
    return importlib.util.find_spec(module) is not None


@contextmanager
def serving(program: str) -> Iterator[int]:
    """Run a server. Yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, "-c", _PRELUDE + program, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: is_listening(port))
            yield port
        finally:
            process.terminate()


def is_listening(port: int) -> bool:
    """Return True if a connection can be made."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def show_rates(report: Report, ports: dict[str, int], rounds: int, seconds: float) -> None:
    """Measure the requests a second of all servers, in turn."""
    rates: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            rates[name].append(rate_of(report, name, port, seconds))
    for name, samples in rates.items():
        report.add(f"{name}: requests a second", f"{median(samples):,.0f}")
        if name != "wschat":
            ratio = median(rates["wschat"]) / median(samples)
            report.add(f"wschat / {name}", f"{ratio:.2f}", required="1.00 or more", is_met=ratio >= 1)


def rate_of(report: Report, name: str, port: int, seconds: float) -> float:
    """Run wrk, and return the requests a second."""
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}", f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for problem in re.findall(r"Socket errors.*|Non-2xx.*", output):
        report.problems.append(f"{name}: {problem}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None
    return float(found[1])


def show_latency(report: Report, port: int, rounds: int) -> None:
    """Measure a request of one client alone, and beside open WebSockets, in turn."""
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(latency_of(port))
        with ExitStack() as sockets:
            for _ in range(_SOCKETS):
                sockets.enter_context(wschat.connect(f"ws://127.0.0.1:{port}/"))
            beside.append(latency_of(port))
    report.add("latency of a request", f"{median(alone) * 1e6:,.0f} us")
    ratio = median(beside) / median(alone)
    measured = f"{median(beside) * 1e6:,.0f} us, {ratio:.2f} times"
    required = f"at most {_REQUIRED_TIMES_ALONE} times"
    report.add(f"beside {_SOCKETS} open WebSockets", measured, required=required, is_met=ratio <= _REQUIRED_TIMES_ALONE)


def latency_of(port: int) -> float:
    """Return the median of the time that a request takes."""
    took = []
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_REQUESTS):
            began_at = perf_counter()
            sock.sendall(_REQUEST)
            response = sock.recv(4096)
            while not response.endswith(BODY):
                response += sock.recv(4096)
            took.append(perf_counter() - began_at)
    return median(took)
