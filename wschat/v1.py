"""The subprotocol `wschat.v1`: what server and client both know of it, besides the records in `events` and the names in `names`."""

SUBPROTOCOL = "wschat.v1"
"""The name of the subprotocol."""
REPLACED = 4001
"""The close code after another connection has taken over the client's name."""
ME_PREFIX = "/me "
"""How the text of a message begins that describes what its sender does."""
MAX_ID_LENGTH = 128
"""The most characters of a request's id."""
MAX_NUMBER = (1 << 53) - 1
"""The largest number: the largest integer that JavaScript represents exactly."""
