"""An application of Flask with a page and a WebSocket, for several servers. It needs Flask."""

from __future__ import annotations

from flask import Flask

from tests.bench.wsgi import BODY
from wschat.wsgi.flask import Sock, WebSocket


def echo(ws: WebSocket) -> None:
    """Send every message back."""
    while True:
        ws.send(ws.receive())


app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: BODY, endpoint="page")
sock = Sock(app)
sock.route("/ws")(echo)
