"""The client: `connect` and the steps of an opening. Imports nothing of the server."""
