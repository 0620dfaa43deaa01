"""An auction with Flask: all pages show each new price at once, and no bid is lost, doubled or late.

    pip install flask wschat
    python auction.py

Open http://127.0.0.1:8080/ in several windows. Under gunicorn, it is `gunicorn --threads 100 auction:app`, with one worker, because
the auction is in its memory. The environment variables PORT and SECONDS are another port and how long the auction lasts.
"""

import json
import logging
import os
import re
import threading
from time import monotonic

from flask import Flask, abort, redirect, render_template, request, session

import wschat
from wschat.wsgi.flask import Sock


class BidRefused(Exception):
    """A bid does not count. The text says why."""


class Auction:
    """One thing that goes to the highest bidder. Its methods may be called from any thread."""

    def __init__(self, thing: str, price: int, seconds: float) -> None:
        self.thing = thing
        self.watchers = wschat.Hub()
        self._ends_at = monotonic() + seconds
        self._lock = threading.Lock()  # guards the price and the bidder, and the order in which they are sent
        self._price, self._bidder = price, None

    def watch(self, ws):
        """Send the price of this moment, and each one after it."""
        with self._lock:
            self.watchers.admit(ws, self._state())
        self.watchers.flush()

    def bid(self, bidder: str, price: int) -> None:
        with self._lock:  # two bids at the same moment come one after the other
            if monotonic() >= self._ends_at:
                raise BidRefused("The auction is over.")
            if price <= self._price:
                raise BidRefused(f"The price is {self._price} already.")
            self._price, self._bidder = price, bidder
            self.watchers.add(self._state())
        self.watchers.flush()  # outside the lock; it never waits for a watcher

    def _state(self) -> str:
        seconds = max(0, self._ends_at - monotonic())
        return json.dumps({"price": self._price, "bidder": self._bidder, "seconds": seconds})


app = Flask(__name__)
app.secret_key = os.urandom(32)
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
sock = Sock(app)
auction = Auction("A teapot", price=10, seconds=float(os.environ.get("SECONDS", "600")))


@app.get("/")
def index():
    return render_template("auction.html", thing=auction.thing, name=session.get("name"))


@app.post("/name")
def give_name():
    name = request.form["name"].strip()
    if not 1 <= len(name) <= 30:
        abort(400, "A name has 1 to 30 characters.")
    session["name"] = name
    return redirect("/")


@sock.route("/bids")
def bids(ws):
    auction.watch(ws.connection)
    try:
        while True:
            try:
                auction.bid(*parse_bid(ws.receive()))
            except BidRefused as refusal:
                ws.send(json.dumps({"error": str(refusal)}))
    finally:
        auction.watchers.leave(ws.connection)


def parse_bid(message):
    """Return the bidder and the price. What comes over a WebSocket may be anything."""
    if "name" not in session:
        raise BidRefused("Give your name first.")
    if not isinstance(message, str) or not re.fullmatch("[0-9]{1,9}", message):
        raise BidRefused("A bid is a whole number.")
    return session["name"], int(message)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with wschat.serve(sock.handler, port=int(os.environ.get("PORT", "8080")), wsgi=app) as server:
        server.serve_forever()  # until Ctrl-C
