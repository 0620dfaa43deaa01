"""Excludes the example project, which test_example_project.py runs as a project of its own."""

collect_ignore = ["example_project"]
