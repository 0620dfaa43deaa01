"""Servers and clients on a system without the features of POSIX and Linux, simulated by removing them from Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The standard library and the other packages are imported first, since they handle missing features themselves.
WITHOUT_POSIX = """
import asyncio, http.cookiejar, importlib, logging, os, select, selectors, signal, socket, socketserver, sqlite3, ssl, subprocess, sys
import tempfile, threading, urllib.request, click, h11, platformdirs, simple_websocket, websocket, wsproto

for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
missing = {
    os: "chown fchmod fork forkpty geteuid getloadavg getpgid getuid kill_pg killpg mkfifo nice openpty posix_spawn pread pwrite "
    "register_at_fork sched_getaffinity sched_param sched_setaffinity sched_setscheduler SCHED_BATCH sendfile setsid setuid statvfs "
    "sysconf uname wait3 wait4 writev O_CLOEXEC O_NOFOLLOW O_NONBLOCK O_DIRECTORY O_SYNC",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm pause pthread_kill pthread_sigmask "
    "setitimer sigpending sigwait",
    socket: "AF_UNIX MSG_DONTWAIT MSG_NOSIGNAL SO_REUSEPORT SO_PEERCRED TCP_CORK TCP_QUICKACK TCP_USER_TIMEOUT sethostname CMSG_LEN",
    socket.socket: "sendmsg recvmsg recvmsg_into",
    select: "poll epoll kqueue",
    selectors: "PollSelector EpollSelector KqueueSelector",
}
for owner, names in missing.items():
    for name in names.split():
        if name in vars(owner):
            delattr(owner, name)
selectors.DefaultSelector = selectors.SelectSelector


def pair(*_):  # of TCP sockets, as on Windows
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


socket.socketpair = pair
"""

ECHO = """
import wschat
from wschat.apps import echo

def answer(request):
    return wschat.Response(200, request.read_body(100))

with wschat.serve(echo, port=0, http=answer) as server:
    server.start()
    with wschat.connect(f"ws://127.0.0.1:{server.port}/") as ws:
        for message in ("hello", b"x" * 500_000):
            ws.send(message)
            assert ws.recv(timeout=10) == message
        assert ws.ping() < 10
    assert urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", data=b"body", timeout=10).read() == b"body"
    try:
        wschat.serve(echo, unix_path="socket")
    except wschat.UsageError as error:
        print(error)
print("served")
"""

CHAT = """
import re, threading
import wschat
import wschat.web.process as process
from pathlib import Path
from wschat.server.__main__ import main

process._PROC = Path("/nowhere")
assert process.read_process().threads

class StandardOutput:
    # Keeps the line with the address.
    def __init__(self):
        self.line, self.is_there = "", threading.Event()
    def write(self, text):
        self.line += text
        if "\\n" in self.line:
            self.is_there.set()
    def flush(self):
        pass

standard_output, sys.stdout = sys.stdout, StandardOutput()

def talk():
    sys.stdout.is_there.wait(20)
    url = re.search(r"ws://\\S+", sys.stdout.line)[0]
    with wschat.connect(url + "?name=anna") as ws, wschat.connect(url) as other:
        # A client that receives its own message has joined the room.
        for text, sender, receivers in (("one", ws, [ws]), ("two", other, [other, ws])):
            sender.send(text)
            for receiver in receivers:
                while not receiver.recv(timeout=10).endswith(f": {text}"):
                    pass
    page = urllib.request.urlopen(url.replace("ws", "http", 1), timeout=10).read()
    assert b"<title>" in page, page[:500]
    standard_output.write("talked\\n")
    signal.raise_signal(signal.SIGINT)

def fail(failure):
    sys.__excepthook__(*failure[:3])
    os._exit(1)

threading.excepthook = fail
threading.Thread(target=talk, daemon=True).start()
main(["--port", "0", "--history", "memory"], standalone_mode=False)
standard_output.write("ended\\n")
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_POSIX + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)


@pytest.mark.parametrize(
    ("program", "output"),
    [
        (ECHO, "this system has no Unix sockets: give a host and a port\nserved\n"),
        (CHAT, "talked\nended\n"),
    ],
    ids=["echo", "chat"],
)
def test_servers_and_clients_work_without_posix(program: str, output: str) -> None:
    done = run(program)
    assert (done.returncode, done.stdout) == (0, output), done.stderr
    assert "Traceback" not in done.stderr


def test_without_posix_a_history_in_a_file_is_refused_in_one_line(tmp_path: object) -> None:
    done = run("from wschat.server.__main__ import main\nmain()", "--port", "0", "--history", f"{tmp_path}/history")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "--history memory" in line
