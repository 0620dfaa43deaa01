"""Ready bots: `python -m wschat.bots.dice URL`, and `reminders`, `webhook` and `logtail`."""
