"""An application of Django whose views open WebSockets. As a program, Werkzeug serves it with its debugger, or wschat with `own`."""

import logging
import sys

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

import wschat
from wschat.wsgi import handler_for
from wschat.wsgi.django import websocket

settings.configure(SECRET_KEY="secret", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__)
django.setup()
logging.basicConfig(level=logging.INFO)


@websocket()
def echo(request, ws):
    for message in ws:
        ws.send(message)


@websocket(subprotocols=["a"])
def greet(request, ws, name):
    ws.send(f"Hello {name} at {request.path}, by {ws.subprotocol}!")


@websocket()
def fail(request, ws):
    raise LookupError("no such thing")


urlpatterns = [
    path("", lambda request: HttpResponse("This is a page.")),
    path("echo", echo),
    path("greet/<name>", greet),
    path("fail", fail),
]

application = get_wsgi_application()

if __name__ == "__main__":
    if sys.argv[1:] == ["own"]:
        with wschat.serve(handler_for(application), port=0, wsgi=application, subprotocols=["a"]) as server:
            server.serve_forever()
    else:
        from werkzeug.serving import run_simple

        run_simple("127.0.0.1", 0, application, threaded=True, use_debugger=True)
