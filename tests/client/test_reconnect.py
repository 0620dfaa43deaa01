"""`wschat.reconnect`: connections one after the other, what ends them, and what is final."""

from __future__ import annotations

import itertools

from tests.conftest import ServerFactory, url_of
from wschat import reconnect

QUICK = 0.01
URL = "ws://127.0.0.1:1/"


def test_a_new_connection_is_opened_after_each_end(serve: ServerFactory) -> None:
    numbers = itertools.count(1)
    server = serve(lambda ws: ws.send(str(next(numbers))))
    received = []
    for ws in reconnect(url_of(server), max_pause=QUICK):
        received += list(ws)
        if len(received) == 3:
            break
    assert received == ["1", "2", "3"]
