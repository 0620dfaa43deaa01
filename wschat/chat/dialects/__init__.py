"""How clients and the chat communicate: plain text, `wschat.v1` (JSON), and server-sent events."""
