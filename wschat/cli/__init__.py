"""The commands: `wschat serve`, `wschat connect` and `wschat token`, and what they do to their process."""
