"""Closing a broker at interpreter exit, when its thread never runs again: nothing waits for the thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import run_program


@pytest.mark.parametrize("how", ["__del__", "atexit"])
def test_a_broker_can_be_closed_at_interpreter_exit(how: str, tmp_path: Path) -> None:
    source = """
    import atexit, sys, threading
    from wschat.brokers.base import Draft
    from wschat.brokers.sqlite.broker import SqliteBroker
    class Keeper:
        def __init__(self):
            self.itself = self  # so that it is finalized at interpreter exit
            self.broker = SqliteBroker(sys.argv[1])
            self.is_kept = threading.Event()
            self.closes = sys.argv[2] == "__del__"
        def on_appended(self, outcomes):
            self.is_kept.set()
        def __del__(self):
            if self.closes:
                self.broker.close()
    keeper = Keeper()
    keeper.broker.append(Draft("tea", "anna", "hello"), keeper)
    assert keeper.is_kept.wait(20)
    if sys.argv[2] == "atexit":
        atexit.register(keeper.broker.close)
    """
    history = str(tmp_path / "history.sqlite")
    run_program(source, history, how)
    run_program(
        source + "    assert [message.text for message in keeper.broker.read_since('tea', 0, 9)] == ['hello', 'hello']", history, how
    )
