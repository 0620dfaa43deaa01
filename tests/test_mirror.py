"""Each module of wschat/ has a test file of its name, or is named here with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import ROOT

PACKAGE = ROOT / "wschat"
TESTS = ROOT / "tests"

# The test file that covers a module without one of its own.
COVERED_BY = {
    "apps": "test_docs.py",
    "brokers/base": "brokers/test_contract.py",
    "brokers/memory": "brokers/test_contract.py",
    "brokers/opening": "server/test_history.py",
    "brokers/room_table": "brokers/test_contract.py",
    "brokers/sorted_names": "brokers/test_contract.py",
    "brokers/sqlite/log": "brokers/sqlite/test_broker.py",
    "brokers/sqlite/work": "brokers/sqlite/test_broker.py",
    "chat/chat": "chat/test_http.py",
    "chat/costs": "chat/test_budgets.py",
    "chat/events": "chat/dialects/test_sse.py",
    "chat/guest_secrets": "chat/test_guests.py",
    "chat/handlers": "chat/dialects/test_v1.py",
    "chat/joiners": "chat/test_names.py",
    "chat/mint": "chat/test_access.py",
    "chat/new_rooms": "web/test_rooms.py",
    "chat/room_list": "chat/test_rooms.py",
    "chat/sessions": "chat/test_people.py",
    "chat/state": "chat/dialects/test_v1.py",
    "client/deadline": "client/test_happy_eyeballs.py",
    "client/failures": "client/test_connect.py",
    "client/handshake": "client/test_connect.py",
    "client/tunnel": "client/test_proxy.py",
    "connection/fragments": "connection/test_connection.py",
    "connection/incoming": "connection/test_connection.py",
    "connection/reader_lock": "connection/test_connection.py",
    "connection/reentrance": "connection/test_endings.py",
    "connection/send_buffer": "connection/test_outbox.py",
    "daemons": "connection/test_background_threads.py",
    "errors": "server/test_responses.py",
    "server/arguments": "server/test_server.py",
    "server/listening": "server/test_addresses.py",
    "server/loading": "server/test_main.py",
    "server/option_types": "server/test_main.py",
    "server/refusals": "server/test_requests.py",
    "server/serve": "server/test_server.py",
    "server/wakeup": "server/test_stopping.py",
    "stdio": "server/test_stdio.py",
}


def modules() -> set[str]:
    names = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")}
    return {name for name in names if not name.endswith("__init__")}


def mirrored(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name.strip('_')}.py")


@pytest.mark.xfail(strict=False, reason="modules are being renamed")
def test_each_module_has_a_test_file_of_its_name() -> None:
    assert {module for module in modules() if not mirrored(module).exists()} == COVERED_BY.keys()
    assert all((TESTS / path).exists() for path in COVERED_BY.values())
