"""An application of Flask with the routes of flask-sock's documentation. Run as a program, it is served by Werkzeug in debug mode."""

from flask import Flask

from wschat.wsgi.flask import Sock

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
        ws.send(data)


@sock.route("/once")
def once(ws):
    ws.send(ws.receive())


@sock.route("/failing")
def failing(ws):
    raise LookupError(ws.receive())


if __name__ == "__main__":
    app.run(debug=True, port=0, use_reloader=False)
