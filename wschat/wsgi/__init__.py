"""WebSockets inside other WSGI servers: Werkzeug's, and gunicorn's with threads. `flask` and `django` have helpers for these."""

from wschat.wsgi.application import WebSocketApp
from wschat.wsgi.hosting import handler_for
from wschat.wsgi.open_connections import close_all
from wschat.wsgi.opening import accept
from wschat.wsgi.responses import closing_response

__all__ = ["WebSocketApp", "accept", "close_all", "closing_response", "handler_for"]
