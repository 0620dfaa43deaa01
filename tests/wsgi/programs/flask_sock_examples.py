"""The examples of flask-sock's documentation, written again, in one application. Only their import is another one.

Run as a program, it is served by Werkzeug, with the argument `debug` in debug mode.
"""

import datetime
import json
import sys
import threading
import time

from flask import Blueprint, Flask

from wschat.wsgi.flask import Sock

# An echo, with options

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)


@app.route("/")
def index():
    return "This is a page."


@sock.route("/echo")
def echo(ws):
    while True:
        data = ws.receive()
        if data == "close":
            break
        ws.send(data)


# A clock: a thread sends to the clients in a list

client_list = []


def send_time():
    while True:
        time.sleep(1)
        clients = client_list.copy()
        for client in clients:
            try:
                client.send(json.dumps({"text": datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")}))
            except:  # noqa: E722  # as it is documented
                client_list.remove(client)


@sock.route("/clock")
def clock(ws):
    client_list.append(ws)
    while True:
        data = ws.receive()
        if data == "stop":
            break
    client_list.remove(ws)


thread = threading.Thread(target=send_time)
thread.daemon = True
thread.start()


# A blueprint, and routes that are made before their application

blueprint = Blueprint("main", __name__, url_prefix="/main")
late = Sock()


@late.route("/late")
def late_echo(ws):
    while True:
        data = ws.receive()
        if data == "close":
            break
        ws.send(data)


@late.route("/echo", bp=blueprint)
def blueprint_echo(ws):
    while True:
        data = ws.receive()
        if data == "close":
            break
        ws.send(data)


late.init_app(app)
app.register_blueprint(blueprint)


if __name__ == "__main__":
    app.run(port=0, debug="debug" in sys.argv, use_reloader=False)
