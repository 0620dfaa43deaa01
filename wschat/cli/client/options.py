"""The options of `wschat connect`, and the connection that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from wschat.cli.client.steps import Step
from wschat.client.uri import WebSocketURI, parse_uri
from wschat.errors import UsageError
from wschat.limits import DEFAULT_LIMITS, Limits
from wschat.settings import Option, check_settings, setting, settings_of

if TYPE_CHECKING:
    import ssl

    import wschat.client.connect as client
    from wschat.client.reconnect import Attempt, Reconnect
    from wschat.connection.connection import Connection


VARIABLES = "WSCHAT_CLIENT_"
"""How the names of the environment variables begin."""

MAX_MESSAGE_BYTES = 100 << 20
"""The size of a received message, as of other terminal clients, which are built on Node's ws. Above it, the connection is closed (1009)."""

_FOR_PIPES = ("steps", "count", "replay", "binary", "json", "quiet")
# Each pair with the reason why it cannot be given together.
_CONFLICTS = (
    ("room", "subprotocols", "the client speaks wschat.v1 in a room"),
    ("room", "binary", "the messages of a room are text"),
    ("insecure", "cafile", "without verification, no authorities are needed"),
    ("json", "timestamps", "JSON lines have the time"),
    ("binary", "timestamps", "binary messages are written as they are"),
    ("replay", "steps", "a replay is a script of its own"),
    ("replay", "count", "a replay is a script of its own"),
    ("reconnect", "steps", "a script has one connection"),
    ("reconnect", "replay", "a replay has one connection"),
)


def _text(flag: str, help_text: str, metavar: str = "TEXT") -> str | None:
    """Declare an option that takes a text."""
    return setting(None, option=Option(flag, help_text, metavar=metavar))


def _texts(flag: str, help_text: str, metavar: str) -> Sequence[str]:
    """Declare an option that takes a text and may be repeated."""
    return setting((), option=Option(flag, f"{help_text} May be repeated.", metavar=metavar))


def _flag(flag: str, help_text: str, alias: str | None = None) -> bool:
    """Declare an option without a value."""
    return setting(False, option=Option(flag, help_text, alias=alias))


def _check_speed(speed: float) -> None:
    if not speed > 0:
        raise UsageError(f"--speed must be greater than 0, not {speed:g}")


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """The options of the command. Immutable. Raises UsageError for an invalid value, and for options that cannot be given together."""

    url: str
    """The URL as it was given."""
    steps: Sequence[Step] = field(default_factory=tuple)
    """The steps of `--send` and `--expect`, in the order of the command line."""

    # The chat
    name: str | None = _text("--name", "Name in a chat server.")
    """The name in a chat server."""
    room: str | None = _text("--room", "Room of a chat server: each line is said in it, and what is said in it is printed as NAME: TEXT.")
    """The room of a chat server."""
    token: str | None = _text("--token", "Token, sent in the header Authorization: Bearer TOKEN.")
    """The token for the Authorization header."""

    # The opening request
    headers: Sequence[str] = _texts("--header", "Header of the opening request.", "NAME:VALUE")
    """Headers of the opening request, each as `NAME:VALUE`."""
    cookies: Sequence[str] = _texts("--cookie", "Cookie of the opening request.", "NAME=VALUE")
    """Cookies, each as `NAME=VALUE`."""
    origin: str | None = _text("--origin", "Value of the Origin header.")
    """The value of the Origin header."""
    subprotocols: Sequence[str] = _texts("--subprotocol", "Subprotocol to offer.", "NAME")
    """The subprotocols to offer."""

    # The way to the server
    proxy: str | None = setting(
        None, option=Option("--proxy", 'HTTP or SOCKS proxy; "" for no proxy.', metavar="URL", parse=str, default="as in the environment")
    )
    """The URL of a proxy, "" for none; None for what the environment says."""
    cafile: str | None = _text("--cafile", "PEM file with the authorities to trust, instead of the system's.", "FILE")
    """The path of a PEM file with the authorities to trust."""
    cert: str | None = _text("--cert", "PEM file with a client certificate.", "FILE")
    """The path of a PEM file with a client certificate."""
    key: str | None = _text("--key", "PEM file with the private key of --cert, if it is another file.", "FILE")
    """The path of a PEM file with the private key, if it is another file than `cert`."""
    insecure: bool = _flag("--insecure", "Do not verify the certificate of the server.")
    """True if the certificate of the server is not verified."""
    ping_interval: float = setting(
        DEFAULT_LIMITS.ping_interval, option=Option("--ping-interval", "Seconds between two pings; 0 for no pings.", metavar="SECONDS")
    )
    """Seconds between two keep-alive pings; 0 for no pings."""
    reconnect: bool = _flag("--reconnect", "Connect again whenever the connection is lost.")
    """True if a lost connection is replaced."""

    # The messages
    binary: bool = _flag("--binary", "Send lines as binary messages, and write binary messages as they are, without a line end.")
    """True if messages are sent as binary, and binary messages are written as they are."""
    json: bool = _flag("--json", "Print a JSON object for each message, and for the opening and the end of the connection.")
    """True if messages and events are printed as JSON objects, one on each line."""
    timestamps: bool = _flag("--timestamps", "Print the time before each message.")
    """True if the time is printed before each message."""
    quiet: bool = _flag("--quiet", "Print nothing but messages: how it ended is only in the exit code.")
    """True if nothing is written to standard error."""
    verbose: bool = _flag("--verbose", "Print the headers of the opening response, and the end, on standard error.", "-v")
    """True if the headers of the opening response are shown."""

    # Scripts
    timeout: float = setting(
        10.0, option=Option("--timeout", "Script: seconds to wait for each message; 0 for no limit.", metavar="SECONDS")
    )
    """The seconds to wait for each expected message; 0 for no limit."""
    count: int = setting(0, option=Option("--count", "End after this many messages; 0 for no such end.", metavar="N", maximum=1e9))
    """The number of messages after which the command ends; 0 for no such end."""
    record: str | None = _text("--record", "File to write all messages to, with their times, as JSON lines.", "FILE")
    """The path of the file to record to."""
    replay: str | None = _text("--replay", "Recording whose sent messages are sent again, at the same times.", "FILE")
    """The path of the recording to replay."""
    speed: float = setting(1.0, check=_check_speed, option=Option("--speed", "Replay: how many times as fast as recorded.", metavar="X"))
    """How many times as fast as recorded a replay is."""
    check: bool = setting(True, option=Option("--check/--no-check", "Replay: expect the messages that the recording received."))
    """True if a replay expects the messages that the recording received."""

    def __post_init__(self) -> None:
        check_settings(self)
        _ = self.uri, self.request_headers, self.request_cookies  # which raise UsageError
        for one, other, reason in _CONFLICTS:
            if getattr(self, one) and getattr(self, other):
                raise UsageError(f"{_flag_of(one)} and {_flag_of(other)} cannot be given together: {reason}")
        if self.key and not self.cert:
            raise UsageError("--key needs a --cert")
        if self.record and self.record == self.replay:
            raise UsageError("--record must be another file than --replay, which it would overwrite")

    @property
    def is_for_pipes(self) -> bool:
        """True if the options are of no use on an interactive screen: what is sent is given already, or the output is for programs."""
        return any(getattr(self, name) for name in _FOR_PIPES)

    @property
    def target(self) -> str:
        """The URL to connect to, with the name in its query. May hold a password or a token: messages show `place`."""
        if self.name is None:
            return self.url
        if "name" in parse_qs(self.url.partition("?")[2]):
            raise UsageError("give a name either by --name or in the URL, not both")
        return f"{self.url}{'&' if '?' in self.url else '?'}name={quote(self.name, safe='')}"

    @cached_property
    def uri(self) -> WebSocketURI:
        """The parsed `target`."""
        return parse_uri(self.target)

    @property
    def place(self) -> str:
        """The URL without its query and credentials, for messages."""
        return self.uri.without_query

    @cached_property
    def request_headers(self) -> Mapping[str, str]:
        """The headers to add to the opening request, with the token."""
        headers = dict(_pair(text, ":", "--header", "NAME:VALUE") for text in self.headers)
        if self.token is not None:
            if any(name.lower() == "authorization" for name in headers):
                raise UsageError("--token and --header Authorization cannot be given together: both are the same header")
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    @cached_property
    def request_cookies(self) -> Mapping[str, str]:
        """The cookies of the opening request."""
        return dict(_pair(text, "=", "--cookie", "NAME=VALUE") for text in self.cookies)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, None for the default one. Reads the files; raises UsageError if one of them is of no use."""
        if not (self.insecure or self.cafile or self.cert):
            return None
        from wschat.cli.client.tls import make_context

        return make_context(self.cafile, self.cert, self.key, is_insecure=self.insecure)

    @property
    def limits(self) -> Limits:
        """The limits of the connection."""
        return replace(DEFAULT_LIMITS, ping_interval=self.ping_interval, max_message_bytes=MAX_MESSAGE_BYTES)

    def open(self, *, subprotocols: Sequence[str] = ()) -> Connection:
        """Open the connection. `subprotocols` are offered if no --subprotocol was given.

        Some servers choose any subprotocol that is offered, so a server that chose `wschat.v1` is a chat only if its first message
        is a `welcome`. Raises UsageError, OSError and OpeningFailed, as `wschat.connect` does.
        """
        from wschat.client.connect import connect  # not for --help

        return connect(self.target, headers=self.request_headers, **self._arguments_offering(subprotocols))

    def reconnecting(self, on_attempt: Callable[[Attempt], object], *, subprotocols: Sequence[str] = ()) -> Reconnect:
        """Return connections, one after the other, as `wschat.reconnect` does. `subprotocols` are as for `open`."""
        from wschat.client.reconnect import reconnect

        arguments = self._arguments_offering(subprotocols)
        return reconnect(self.target, headers=self.request_headers, on_attempt=on_attempt, **arguments)

    def _arguments_offering(self, subprotocols: Sequence[str]) -> client.ConnectOptions:
        arguments = self.arguments()
        arguments["subprotocols"] = self.subprotocols or subprotocols
        return arguments

    def arguments(self) -> client.ConnectOptions:
        """Return the arguments of `connect`, `reconnect` and `ChatClient`, besides URL, headers and subprotocols. Raises UsageError."""
        return {"cookies": self.request_cookies, "origin": self.origin, "proxy": self.proxy, "tls": self.tls, "limits": self.limits}


def _flag_of(name: str) -> str:
    """Return the option of a setting, for error messages."""
    return "--send or --expect" if name == "steps" else settings_of(ConnectOptions)[name].metadata["option"].flag.partition("/")[0]


def _pair(text: str, separator: str, flag: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise UsageError(f"{flag} must be {form}, not {text!r}")
    return name.strip(), value.strip()
