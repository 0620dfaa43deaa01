"""The client of the chat, over `wschat.v1`: `ChatClient` and its parts."""
