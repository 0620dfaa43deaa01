"""The end of all WebSockets of a process, which is final, so that each test has a process of its own."""

from __future__ import annotations

import os

import pytest

from tests.programs import run_program

# Opens a WebSocket inside Werkzeug's server, and calls `close_all`.
CLOSING = """
import logging, os, threading
import wschat
import wschat.wsgi
from werkzeug.serving import make_server
from wschat.limits import Limits
from wschat.wsgi.open_connections import connections_for

logging.getLogger("werkzeug").disabled = True

def handle(ws):
    for message in ws:
        ws.send(message)

server = make_server("127.0.0.1", 0, wschat.wsgi.WebSocketApp(handle), threaded=True)
thread = threading.Thread(target=server.serve_forever, args=(0.02,))
thread.start()
url = f"ws://127.0.0.1:{server.port}/"
ws = wschat.connect(url)
wschat.wsgi.close_all()
try:
    ws.recv(20)
except wschat.ConnectionClosed as closed:
    print(closed)
ws.close()
try:
    wschat.connect(url)
except wschat.OpeningFailed as failed:
    print(failed.status)
"""
END = """
server.shutdown()
thread.join()
server.server_close()
"""


@pytest.fixture(autouse=True)
def _needs_werkzeug() -> None:
    pytest.importorskip("werkzeug", reason="needs Werkzeug: pip install '.[dev]'")


def test_close_all_closes_every_websocket_and_accepts_no_more() -> None:
    assert run_program(CLOSING + END) == "1001 the server is stopping\n503\n"


def test_close_all_can_be_called_again_also_at_the_end_of_the_process() -> None:
    again = """
import atexit
atexit.register(wschat.wsgi.close_all)
wschat.wsgi.close_all()
"""
    assert run_program(CLOSING + again + END) == "1001 the server is stopping\n503\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system does not have")
def test_a_forked_child_begins_anew() -> None:
    fork = """
child = os.fork()
if not child:
    print(len(connections_for(Limits())), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert run_program(f"import warnings; warnings.simplefilter('ignore')\n{CLOSING}{END}{fork}").splitlines()[-2:] == ["0", "0"]
