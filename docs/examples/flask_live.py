"""A Flask site with live updates from a thread, and one login for its pages and its WebSockets.

    pip install flask wschat
    python flask_live.py

Log in at http://127.0.0.1:8080/ as alice, with the password wonderland. Each page shows the load of the machine every second.
The environment variable PORT is another port. The page is in templates/flask_live.html.
"""

import json
import logging
import os
import threading

from flask import Flask, abort, redirect, render_template, request, session
from werkzeug.security import check_password_hash, generate_password_hash

import wschat

PASSWORDS = {"alice": generate_password_hash("wonderland"), "bob": generate_password_hash("builder")}

app = Flask(__name__)
app.secret_key = os.urandom(32)  # so a restart logs everyone out; a real site keeps its key
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
viewers = wschat.Hub()


@app.get("/")
def index():
    return render_template("flask_live.html", name=session.get("name"))


@app.post("/login")
def log_in():
    name, password = request.form["name"], request.form["password"]
    if not check_password_hash(PASSWORDS.get(name, ""), password):
        abort(403, "The name or the password is wrong.")
    session["name"] = name
    return redirect("/")


@app.post("/logout")
def log_out():
    name = session.pop("name", None)
    if name is None:
        return redirect("/")
    for ws in viewers:
        if ws.identity == name:
            ws.begin_close(1008, "logged out")  # without waiting for the page
    return redirect("/")


def check_login(opening):
    """Refuse a WebSocket without a login, before it is open. The login is in Flask's cookie, as for pages."""
    login = app.session_interface.open_session(app, opening)  # of a request, it needs the cookies only
    if "name" not in login:
        raise wschat.RequestRefused(401, "Log in first.")
    opening.identity = login["name"]


def live(ws):
    """Keep a page among the viewers while it is open."""
    viewers.join(ws)
    try:
        for _ in ws:  # ends with the connection
            ws.close(1008, "a page has nothing to say here")
    finally:
        viewers.leave(ws)


def measure(stopped):
    while not stopped.wait(1):
        viewers.broadcast(json.dumps({"load": os.getloadavg()[0], "names": sorted({ws.identity for ws in viewers})}))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    stopped = threading.Event()
    thread = threading.Thread(target=measure, args=[stopped])
    port = int(os.environ.get("PORT", "8080"))
    with wschat.serve({"/live": live}, port=port, check_request=check_login, wsgi=app) as server:
        thread.start()
        try:
            server.serve_forever()  # until Ctrl-C
        finally:
            stopped.set()
            thread.join()
