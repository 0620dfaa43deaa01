"""The option `--version`: the version, and whether the engine is compiled."""

from __future__ import annotations

import click

from wschat.compiled import IS_COMPILED

version_option = click.version_option(package_name="wschat", message=f"wschat %(version)s, {'compiled' if IS_COMPILED else 'not compiled'}")
"""The decorator that adds it to a command."""
