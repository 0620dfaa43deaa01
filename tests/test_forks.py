"""Forked children, with real forks: what they inherit is closed and refused, and what they make is their own."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from textwrap import dedent

import pytest

from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from tests.programs import run_program
from tests.server.command import running
from tests.tls import make_certificate
from wschat import Connection, Limits, connect

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system has no /proc")

# What the programs begin with. `in_child` runs a function in a forked child, and checks that it has ended well.
PRELUDE = """
import contextlib, os, signal, socket, sys, threading, traceback, warnings
import wschat
from tests.concurrency import eventually
warnings.simplefilter("ignore", DeprecationWarning)

def talk(ws):
    for message in ws:
        ws.send(message)

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return
    signal.alarm(20)  # what waits for a thread of the parent waits for ever
    try:
        work()
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

def echo(server_or_url, text="text"):
    url = server_or_url if isinstance(server_or_url, str) else f"ws://127.0.0.1:{server_or_url.port}"
    with wschat.connect(url) as ws:
        ws.send(text)
        return ws.recv(timeout=20)

def descriptors():
    found = {}
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # another thread has closed it
            found[int(each)] = os.readlink(f"/proc/self/fd/{each}")
    return found

def locks():
    found = []
    for each in descriptors():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/fdinfo/{each}") as lines:
            found += [line for line in lines if "OFDLCK" in line]
    return found
"""


def run_forking(source: str, *arguments: str) -> str:
    """Run a program after the prelude."""
    return run_program(PRELUDE + dedent(source), *arguments)


@pytest.fixture
def url(serve: ServerFactory) -> str:
    """The URL of a server that echoes all messages."""

    def talk(ws: Connection) -> None:
        for message in ws:
            ws.send(message)

    return url_of(serve(talk))


# What a child holds


@needs_proc
def test_a_child_that_uses_nothing_has_no_descriptor_of_its_parent(tmp_path: Path) -> None:
    """Listeners, connections of all kinds, those being opened and refused, the background threads, and the lock on a history."""
    source = """
    import ssl
    from wschat.brokers.sqlite.broker import SqliteBroker
    from wschat.chat.chat import SUBPROTOCOLS, Chat
    from wschat.web.site import Site
    from wschat.server.tls import Certificate
    certificate, history = sys.argv[1:]
    before = set(descriptors())
    chat = Chat(SqliteBroker(history))
    site = Site(chat.http, 65_536)
    limits = wschat.Limits(max_connections=5)
    trusting = ssl._create_unverified_context()
    refusing = socket.create_server(("127.0.0.1", 0))  # accepts, and never answers
    with (
        wschat.serve(
            chat.handle, port=0, check_request=chat.check_request, subprotocols=SUBPROTOCOLS, http=site, limits=limits
        ) as server,
        wschat.serve(talk, port=0, tls=Certificate(certificate).context) as secure,
    ):
        server.start()
        secure.start()
        url = f"ws://127.0.0.1:{server.port}"
        clients = [wschat.connect(url), wschat.connect(f"wss://127.0.0.1:{secure.port}", tls=trusting)]
        clients[0].recv(timeout=20)
        chat_client = wschat.ChatClient(url, name="alice", rooms=["tea"]).start()
        chat_client.say("tea", "Hello!")
        def request(path):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n".encode())
            assert sock.recv(1)
            return sock
        plain = [request("/healthz"), request("/api/rooms/tea/events"), socket.create_connection(("127.0.0.1", server.port))]
        eventually(lambda: server.load().connections == {"websocket": 2, "events": 1, "http": 2})
        plain += [request("/refused") for _ in range(2)]
        def open_in_vain():
            try:
                wschat.connect(f"ws://127.0.0.1:{refusing.getsockname()[1]}")
            except OSError:
                pass
        opening = threading.Thread(target=open_in_vain)
        opening.start()
        waiting = refusing.accept()[0]
        assert waiting.recv(1)
        before |= {each.fileno() for each in [*plain, refusing, waiting]}
        def show():
            names = [name for number, name in descriptors().items() if number not in before]
            others = [name for name in names if not name.startswith(history)]  # SQLite's are files, without a lock of the child
            print(len(others), len(locks()), threading.active_count())
        show()
        in_child(show)
        print(chat_client.say("tea", "Goodbye!"))
        chat_client.close()
        for sock in [*plain, waiting]:
            sock.close()
        for client in clients:
            client.close()
        opening.join()
    chat.close()
    """
    certificate = make_certificate(tmp_path / "certificate")
    output = run_forking(source, str(certificate), str(tmp_path / "history.sqlite")).splitlines()
    descriptors, locks, threads = map(int, output[0].split())
    assert descriptors > 20
    assert locks == 1
    assert threads > 5
    assert output[1:] == ["0 0 1", "2"]


@needs_proc
def test_a_program_that_a_threaded_server_starts_inherits_no_descriptor() -> None:
    source = """
    import subprocess
    def run(ws):
        # With `close_fds`, as by default, there would be nothing to see.
        count = [sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"]
        ws.send(subprocess.run(count, close_fds=False, capture_output=True, text=True, check=True).stdout)
    with wschat.serve(run, port=0) as server:
        server.start()
        print(echo(server), end="")
    """
    assert run_forking(source) == "4\n"  # the standard streams, and the folder itself


def test_the_peers_of_a_parent_do_not_notice_its_child(url: str) -> None:
    source = """
    hub = wschat.Hub()
    def talk_in_hub(ws):
        hub.join(ws)
        for message in ws:
            hub.broadcast(message)
    with wschat.serve(talk_in_hub, port=0) as server, wschat.connect(sys.argv[1]) as ws:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as own:
            own.send("before")
            print(own.recv(timeout=20))
            def leave():
                ws.close()
                own.begin_close()
                server.request_shutdown()
                server.shutdown()
                server.stop()
                server.server_close()
                with server, ws, own:
                    pass
            in_child(leave)
            own.send("after")
            print(own.recv(timeout=20), len(hub))
            ws.send("after")
            print(ws.recv(timeout=20), echo(server))
    """
    assert run_forking(source, url) == "before\nafter 1\nafter text\n"


def test_a_server_that_is_stopped_at_exit_lets_a_child_exit() -> None:
    source = """
    import atexit
    server = wschat.serve(talk, port=0).start()
    atexit.register(server.stop)
    if not (child := os.fork()):
        signal.alarm(20)
        sys.exit()
    print(os.waitpid(child, 0)[1], echo(server))
    """
    assert run_forking(source) == "0 text\n"


@needs_proc
def test_a_child_keeps_nothing_of_a_parent_that_has_ended(tmp_path: Path) -> None:
    """The port can be used again, clients find the end of their connections, and another server can open the history."""
    source = """
    from wschat.brokers.sqlite.broker import SqliteBroker
    broker = SqliteBroker(sys.argv[1])
    server = wschat.serve(talk, port=0).start()
    client = socket.create_connection(("127.0.0.1", server.port))
    reading, writing = os.pipe()
    parent = os.getpid()
    if not os.fork():
        child = int(os.read(reading, 20))
        try:
            assert client.recv(1) == b""  # the end, because the parent has gone
            eventually(lambda: os.getppid() != parent)
            SqliteBroker(sys.argv[1]).close()
            with wschat.serve(talk, port=server.port) as own:
                own.start()
                print(echo(own), flush=True)
        finally:
            os.kill(child, signal.SIGKILL)
            os._exit(0)
    eventually(lambda: server.load().connections["http"] == 1)
    if not os.fork():
        os.write(writing, str(os.getpid()).encode())
        signal.pause()
    os._exit(0)
    """
    assert run_forking(source, str(tmp_path / "history.sqlite")) == "text\n"


# What a child uses of its parent


# Each is called in a child, with a connection, a server, a hub and an event stream of its parent, and a hub of the child.
USES = [
    "ws.send('text')",
    "ws.send(['a', 'b'])",
    "ws.recv()",
    "ws.recv(timeout=1)",
    "ws.ping()",
    "next(iter(ws))",
    "list(ws)",
    "next(received)",
    "compressed.send('text' * 1000)",
    "server.start()",
    "server.serve_forever()",
    "serving.start()",
    "hub.broadcast('text')",
    "hub.join(ws)",
    "hub.admit(ws)",
    "hub.add_for(ws, 'text')",
    "list(hub)",
    "own_hub.join(ws)",
    "own_hub.admit(ws, 'Hello!')",
    "stream.send('data: text\\n\\n')",
    "next(connections)",
]
MADE_IN_PARENT = """
    from wschat.connection.event_stream import EventStream
    from wschat.connection.streams import open_stream
    from wschat.limits import DEFAULT_LIMITS
    ws = wschat.connect(sys.argv[1], deflate=None)
    ws.send("one")
    ws.send("two")
    received = iter(ws)
    next(received)
    compressed = wschat.connect(sys.argv[1])
    server = wschat.serve(talk, port=0)
    serving = wschat.serve(talk, port=0).start()
    hub = wschat.Hub()
    hub.join(ws)
    own_hub = wschat.Hub()
    reconnecting = wschat.reconnect(sys.argv[1])
    connections = iter(reconnecting)
    next(connections)
    ours, theirs = socket.socketpair()
    stream = EventStream(open_stream(ours), limits=DEFAULT_LIMITS, path="/", remote_address=None)
"""
END_IN_PARENT = """
    print(ws.recv(timeout=20), len(hub))
    theirs.close()
    connections.close()
    stream.wait()
    stream.release()
    for each in (server, serving):
        each.stop()
    for each in (ws, compressed):
        each.close()
"""


def test_using_the_objects_of_a_parent_is_an_error_that_names_the_fork(url: str) -> None:
    """And none of it reaches the peers of the parent."""
    source = f"""
    {MADE_IN_PARENT}
    def use():
        own_hub = wschat.Hub()
        for code in {USES}:
            try:
                eval(code)
                print(code, "was no error")
            except wschat.UsageError as error:
                if "was made before a fork and belongs to the parent process" not in str(error):
                    print(code, error)
        print("done", len(hub), hub.leave(ws), len(own_hub), ws.closed, server.load().connections["websocket"])
    in_child(use)
    {END_IN_PARENT}
    """
    assert run_forking(source, url) == "done 0 None 0 1006 left to the parent process 0\ntwo 1\n"


def test_a_child_never_waits_for_a_lock_that_a_thread_of_its_parent_holds(url: str, tmp_path: Path) -> None:
    source = f"""
    {MADE_IN_PARENT}
    import ssl
    from wschat import counters
    from wschat.brokers.sqlite import file_lock
    from wschat.brokers.sqlite.broker import SqliteBroker
    from wschat.connection import background_threads
    from wschat.connection.quota import Quota
    from wschat.connection.streams import PollingStream
    from wschat.web.middleware import ChatMiddleware
    from wschat.wsgi import open_connections
    quota = Quota(1)
    tls = PollingStream(socket.socketpair()[0])
    secret = wschat.Connection(tls, is_client=False, limits=DEFAULT_LIMITS, path="/", headers={{}}, remote_address=None, quotas=[quota])
    broker = SqliteBroker(sys.argv[2])
    chat = ChatMiddleware(None, history="off")
    def ask():
        return chat({{"REQUEST_METHOD": "GET", "PATH_INFO": "/chat/healthz", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
                      "HTTP_HOST": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1", "wsgi.input": None}}, lambda status, headers: print(status))
    ask()
    background = background_threads._current
    locks = [
        *(each._outbox.lock for each in (ws, compressed, secret)),
        *(each._receiver.reader_lock.lock for each in (ws, compressed, secret)),
        *(lock for each in (hub, own_hub) for lock in (each._members_lock, each._flush_lock)),
        *(lock for each in (server, serving) for lock in (
            each._connections._connections_lock, each._threads._spare_lock, each._overload._sockets_lock)),
        background_threads._current_lock, background.writer._thread_lock, background.timers._thread_lock,
        reconnecting._stop_lock, quota._used_lock, tls._tls_lock, counters.counters._counts_lock, open_connections._lock, chat._lock,
        file_lock._locked_lock, broker._queue._changed, broker._rooms_lock, *[broker._readers._free] * 4,
    ]
    held, may_release = threading.Event(), threading.Event()
    def hold():
        for lock in locks:
            assert lock.acquire(timeout=20)
        held.set()
        may_release.wait()
        for lock in reversed(locks):
            lock.release()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    def use():
        for code in {USES}:
            try:
                eval(code)
            except wschat.UsageError:
                pass
        for each in (ws, compressed, secret):
            each.close()
            each.begin_close()
        for each in (hub, own_hub):
            each.leave(ws)
        reconnecting.stop()
        connections.close()
        for each in (server, serving):
            each.request_shutdown()
            each.shutdown()
            each.stop()
            each.server_close()
        broker.close()
        with wschat.serve(talk, port=0, limits=wschat.Limits(outbox_bytes_total=1000)) as own:
            own.start()
            print(echo(own))
        own_hub.broadcast("text")
        ask()
        SqliteBroker(sys.argv[2] + "2").close()
    in_child(use)
    may_release.set()
    holder.join()
    secret._outbox.abort()
    secret.close()
    broker.close()
    {END_IN_PARENT}
    """
    assert run_forking(source, url, str(tmp_path / "history.sqlite")) == "200 OK\ntext\n200 OK\ntwo 1\n"


def test_a_child_that_exits_does_not_touch_the_history_of_its_parent(tmp_path: Path) -> None:
    """Not even at the end of the interpreter: SQLite would wait for the parent's statement, and undo its transaction."""
    source = """
    from wschat.brokers.sqlite.broker import SqliteBroker
    broker = SqliteBroker(sys.argv[1])
    begun, may_end = threading.Event(), threading.Event()
    def wait():
        begun.set()
        may_end.wait()
    broker._database.create_function("wait", 0, wait)
    def write():
        broker._database.execute("BEGIN")
        broker._database.execute("CREATE TABLE other (number)")
        broker._database.execute("INSERT INTO other VALUES (1)")
        broker._database.execute("SELECT wait()").fetchall()
        broker._database.execute("COMMIT")
    with broker._readers.connection():
        pass
    writing = threading.Thread(target=broker._queue.run, args=(write,))
    writing.start()
    begun.wait()
    if not (child := os.fork()):
        signal.alarm(20)
        sys.exit()
    print(os.waitpid(child, 0)[1])
    may_end.set()
    writing.join()
    print(broker._database.execute("SELECT number FROM other").fetchall(), broker._database.execute("PRAGMA integrity_check").fetchall())
    broker.close()
    """
    assert run_forking(source, str(tmp_path / "history.sqlite")) == "0\n[(1,)] [('ok',)]\n"


# What a child makes itself


def test_a_child_has_timers_of_its_own(url: str, serve: ServerFactory) -> None:
    """It detects an unresponsive peer, and its `close` returns."""
    is_over = threading.Event()

    def be_unresponsive(_: Connection) -> None:
        is_over.wait(3 * TIMEOUT)

    source = """
    url, dead_url = sys.argv[1:]
    ws = wschat.connect(url)
    def use():
        limits = wschat.Limits(ping_interval=0.1, ping_timeout=0.1, close_timeout=0.2)
        try:
            wschat.connect(dead_url, limits=limits).recv()
        except wschat.ConnectionClosed as closed:
            print("the child:", closed.code)
        wschat.connect(dead_url, limits=limits).close()
    in_child(use)
    ws.send("parent")
    print(ws.recv(timeout=20))
    ws.close()
    """
    dead = serve(be_unresponsive, limits=Limits(ping_interval=0, close_timeout=0.1))
    assert run_forking(source, url, url_of(dead)) == "the child: 1011\nparent\n"
    is_over.set()


def test_a_child_can_go_on_as_its_parent_did(url: str) -> None:
    """It makes a server, a hub and connections, also in the process of a handler, and has children itself."""
    source = """
    import multiprocessing
    hub = wschat.Hub()  # without members when the process forks, as one that gunicorn has loaded for its workers
    reconnecting = wschat.reconnect(sys.argv[1])
    def talk_in_hub(ws):
        hub.join(ws)
        for message in ws:
            hub.broadcast(message)
    def use():
        with wschat.serve(talk_in_hub, port=0) as own:
            own.start()
            print(echo(own, "x" * 1_000_000) == "x" * 1_000_000, echo(sys.argv[1]))
        for ws in reconnecting:
            break
    def use_twice():
        in_child(use)
        use()
    def fork(ws):
        for message in ws:
            process = multiprocessing.get_context("fork").Process(target=use_twice)
            process.start()
            process.join()
            ws.send(f"{message} {process.exitcode}")
    with wschat.serve(fork, port=0) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            ws.send("one")
            ws.send("two")  # if both come with one read, the handler's thread is corked when it forks
            print(ws.recv(timeout=20), ws.recv(timeout=20))
        use()
    """
    expected = "True text\n" * 4 + "one 0 two 0\nTrue text\n"
    assert run_forking(source, url) == expected


def test_a_child_can_serve_on_the_listening_socket_that_its_parent_serves_on() -> None:
    source = """
    def name(ws):
        ws.send(str(os.getpid()))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    with wschat.serve(name, listener=listener) as server:
        server.start()
        print(echo(url) == str(os.getpid()))
        if not (child := os.fork()):
            signal.alarm(20)
            server.stop()
            server.server_close()
            with wschat.serve(name, listener=listener) as own:
                own.serve_forever()
            os._exit(0)
    print(echo(url) == str(child))  # its parent listens no more
    os.kill(child, signal.SIGINT)
    print(os.waitpid(child, 0)[1])
    """
    assert run_forking(source) == "True\nTrue\n0\n"


def test_a_handler_in_a_child_ends_with_an_error_and_its_client_stays(url: str) -> None:
    """The child has returned from `os.fork` into code that was meant for its parent."""
    source = """
    import logging
    logging.basicConfig(level="ERROR", stream=sys.stdout, format="%(message)s")
    def fork(ws):
        for message in ws:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                ws.send(message)
    with wschat.serve(fork, port=0) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            for text in ("one", "two"):
                ws.send(text)
                print(ws.recv(timeout=20), flush=True)
    """
    output = run_forking(source, url)
    assert output.count("was made before a fork") == 2
    assert [line for line in output.splitlines() if line in ("one", "two")] == ["one", "two"]


def test_a_signal_handler_that_forks_and_returns_in_the_child(url: str) -> None:
    """What it has interrupted ends with the error in the child, and goes on in the parent."""
    source = """
    entered, forked = threading.Event(), []
    def fork(*_):
        if not entered.is_set():
            entered.set()
            forked.append(os.fork())
    signal.signal(signal.SIGUSR1, fork)
    def interrupted(call):
        try:
            result = call()
        except wschat.UsageError as error:
            print("was made before a fork" in str(error), forked, flush=True)
            os._exit(0)
        assert os.waitpid(forked.pop(), 0)[1] == 0
        entered.clear()
        return result
    def fork_main_thread(then):
        # Again and again: a signal that comes just before a system call is handled after that.
        while not entered.wait(0.05):
            os.kill(os.getpid(), signal.SIGUSR1)
        then()
    server = wschat.serve(talk, port=0)
    threading.Thread(target=fork_main_thread, args=(server.request_shutdown,)).start()
    interrupted(server.serve_forever)
    server.stop()
    with wschat.connect(sys.argv[1]) as ws:
        threading.Thread(target=fork_main_thread, args=(lambda: ws.send("text"),)).start()
        print(interrupted(ws.recv))
    """
    assert run_forking(source, url) == "True [0]\nTrue [0]\ntext\n"


def test_terminating_a_child_of_the_command_leaves_the_command_alone(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        dedent("""
        import multiprocessing
        import time

        def handler(ws):
            for message in ws:
                process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
                process.start()
                process.terminate()
                process.join()
                ws.send(f"{message} {process.exitcode}")
        """)
    )
    with running("--app", f"{tmp_path / 'app.py'}:handler", "--port", "0") as command, connect(command.url) as ws:
        for text in ("one", "two"):
            ws.send(text)
            assert ws.recv(TIMEOUT) == f"{text} {-signal.SIGTERM}"
