"""The command of the page of examples that follows a log, as `tail -f` does, in a process of its own."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.documents import EXAMPLES
from tests.server.command import environment
from wschat.events import MessageEvent
from wschat.testing.servers import Servers


def test_new_lines_of_a_log_reach_the_room(tmp_path: Path, wschat_server: Servers) -> None:
    url = wschat_server.chat().url
    log = tmp_path / "app.log"
    log.write_text("ERROR of yesterday\n")
    (command,) = [line.strip() for line in EXAMPLES.text.splitlines() if "wschat.bots.logtail" in line and line.startswith("    ")]
    _, *arguments = shlex.split(command.replace("ws://localhost:8080", url).replace("/var/log/app.log", str(log)))
    with (
        subprocess.Popen([sys.executable, *arguments, "--seconds", "0.1"], env=environment(), stderr=subprocess.DEVNULL) as process,
        wschat.ChatClient(url, name="alice", rooms=["ops"]) as alice,
    ):
        try:
            eventually(lambda: "logtail" in alice.members("ops"))
            with log.open("a") as file:
                file.write("INFO it works\nERROR the disk is full\n")
            said = next(event for event in alice if isinstance(event, MessageEvent))
            assert (said.sender, said.text) == ("logtail", "ERROR the disk is full")
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
