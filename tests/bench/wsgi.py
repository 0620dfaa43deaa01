"""`wsgi`: the rate of a WSGI application on our server beside the servers that are installed, under wrk."""

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

from tests.bench.report import Report
from tests.concurrency import eventually

BODY = b"Hello, world!\n"
_CONNECTIONS = 10
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
