"""Each module of wschat/ has a test file of its name, or is named here with the reason."""

from __future__ import annotations

from pathlib import Path

from tests.documents import ROOT

PACKAGE = ROOT / "wschat"
TESTS = ROOT / "tests"

# The test file that covers a module without one of its own.
COVERED_BY = {
    "apps": "test_docs.py",
    "brokers/redis/announcer": "brokers/redis/test_members.py",
    "brokers/redis/appender": "brokers/redis/test_broker.py",
    "brokers/redis/clock": "brokers/redis/test_broker.py",
    "brokers/redis/reader": "brokers/redis/test_broker.py",
    "brokers/redis/relay": "chat/test_nodes.py",
    "brokers/redis/room_log": "brokers/contract/test_log.py",
    "brokers/redis/rules": "brokers/contract/test_rules.py",
    "brokers/redis/scripts": "brokers/redis/test_broker.py",
    "brokers/write_queue": "brokers/sqlite/test_write_queue.py",
    "callables": "server/test_handlers.py",
    "chat/action": "chat/test_registry.py",
    "chat/actions/ban": "chat/test_moderating.py",
    "chat/actions/help": "chat/dialects/test_v1.py",
    "chat/actions/history": "chat/test_resume.py",
    "chat/actions/join": "chat/test_rooms.py",
    "chat/actions/kick": "chat/test_moderating.py",
    "chat/actions/leave": "chat/test_rooms.py",
    "chat/actions/mute": "chat/test_moderating.py",
    "chat/actions/nick": "chat/dialects/test_v1.py",
    "chat/actions/op": "chat/test_moderating.py",
    "chat/actions/rooms": "chat/test_rooms.py",
    "chat/actions/say": "chat/dialects/test_v1.py",
    "chat/actions/typing": "chat/dialects/test_v1.py",
    "chat/actions/unban": "chat/test_moderating.py",
    "chat/actions/whisper": "chat/dialects/test_v1.py",
    "chat/actions/who": "chat/dialects/test_v1.py",
    "chat/chat": "chat/test_http.py",
    "chat/conversation": "chat/dialects/test_v1.py",
    "chat/costs": "chat/test_budgets.py",
    "chat/dialects/base": "chat/dialects/test_v1.py",
    "chat/dialects/interactive": "chat/dialects/test_v1.py",
    "chat/fields": "chat/test_parser.py",
    "chat/guest_secrets": "chat/test_guests.py",
    "joiners": "test_names.py",
    "v1": "chat/dialects/test_v1.py",
    "chat/mint": "cli/test_token.py",
    "chat/moderator_actions": "chat/test_moderating.py",
    "chat/new_rooms": "web/test_rooms.py",
    "chat/past": "chat/test_resume.py",
    "chat/posting": "chat/test_http.py",
    "chat/room": "chat/test_rooms.py",
    "chat/room_list": "chat/test_rooms.py",
    "chat/schema": "chat/test_parser.py",
    "chat/state": "chat/dialects/test_v1.py",
    "chat/text": "chat/test_parser_commands.py",
    "cli/client/conversing": "cli/client/test_conversation.py",
    "cli/client/exit_codes": "cli/test_connect.py",
    "cli/client/raw_conversation": "cli/client/test_conversation.py",
    "cli/client/transcript": "cli/client/test_script.py",
    "cli/loading": "cli/test_serve.py",
    "cli/worker": "cli/test_workers.py",
    "client/__main__": "cli/test_connect.py",
    "client/deadline": "client/test_happy_eyeballs.py",
    "client/failures": "client/test_connect.py",
    "client/handshake": "client/test_connect.py",
    "client/tunnel": "client/test_proxy.py",
    "connection/base_connection": "connection/test_event_stream.py",
    "connection/fragments": "connection/test_connection.py",
    "connection/reader_lock": "connection/test_connection.py",
    "connection/receiver": "connection/test_connection.py",
    "connection/send_buffer": "connection/test_outbox.py",
    "connection/state": "connection/test_lifecycle.py",
    "connection/transport": "connection/test_outbox.py",
    "daemons": "connection/test_background_threads.py",
    "errors": "server/test_responses.py",
    "events": "client/test_event_parser.py",
    "server/__main__": "cli/test_serve.py",
    "server/listening": "server/test_addresses.py",
    "server/refusals": "server/test_requests.py",
    "server/serve": "server/test_server.py",
    "wakeup": "server/test_stopping.py",
    "testing/direction": "testing/test_faults.py",
    "testing/handler_threads": "testing/test_live_server.py",
    "testing/link": "testing/test_faults.py",
    "testing/report": "testing/test_plugin.py",
    "testing/proxy": "testing/test_faults.py",
    "wsgi/requests": "wsgi/test_opening.py",
    "wsgi/responses": "wsgi/test_application.py",
    "wsgi/running": "wsgi/test_flask.py",
}


def modules() -> set[str]:
    names = {path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py")}
    return {name for name in names if not name.endswith("__init__")}


def mirrored(module: str) -> Path:
    path = TESTS / module
    return path.with_name(f"test_{path.name.strip('_')}.py")


def test_each_module_has_a_test_file_of_its_name() -> None:
    assert {module for module in modules() if not mirrored(module).exists()} == COVERED_BY.keys()
    assert all((TESTS / path).exists() for path in COVERED_BY.values())
