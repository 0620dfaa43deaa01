"""How clients and the chat talk: plain text, `wschat.v1` (JSON), and server-sent events."""
