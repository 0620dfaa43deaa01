"""The broker that keeps rooms in an SQLite database."""
