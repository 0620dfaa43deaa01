"""What the report of a failed test says about its connections."""

from __future__ import annotations

from urllib.parse import urlsplit

from wschat.testing.connections import Connections
from wschat.testing.servers import Servers


def transcripts_of(servers: Servers, connections: Connections | None) -> list[str]:
    """Return the transcripts of a test: those of the proxies, and those of other connections.

    A proxy shows all clients, and the faults. It cannot look into TLS.
    """
    texts = [text for server in servers.started for text in server.transcripts()]
    shown = {urlsplit(server.url).netloc for server in servers.started if server.url.startswith("ws:")}
    opened = connections.opened if connections is not None else []
    return texts + [str(ws.transcript) for ws in opened if ws.url is None or urlsplit(ws.url).netloc not in shown]
