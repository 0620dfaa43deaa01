"""An application for `gunicorn --preload` that has used WebSockets, a hub and the chat before the workers are forked."""

from wsgiref.util import setup_testing_defaults

import wschat
import wschat.wsgi
from wschat.web.middleware import ChatMiddleware

hub = wschat.Hub()


def handle(ws):
    hub.join(ws)
    try:
        for message in ws:
            hub.broadcast(message)
    finally:
        hub.leave(ws)


app = ChatMiddleware(wschat.wsgi.WebSocketApp(handle))

# As a program that checks itself when it starts.
with wschat.serve(handle, port=0) as server:
    server.start()
    with wschat.connect(f"ws://127.0.0.1:{server.port}") as client:
        client.send("Hello!")
        assert client.recv(timeout=20) == "Hello!"
environ = {"PATH_INFO": "/chat/healthz"}
setup_testing_defaults(environ)
assert b"".join(app(environ, lambda status, headers: None))
