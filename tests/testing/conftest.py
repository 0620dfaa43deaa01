"""The example project is run as a project of its own (see test_example_project.py)."""

collect_ignore = ["example_project"]
