"""`guestnet schema`: the file's JSON schema, from the same models that read it; for editors."""

from __future__ import annotations

import json

import typer


def schema() -> int:
    """Print the JSON schema of the file, for editors."""
    from guestnet.spec.models import Spec

    found = Spec.model_json_schema()
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=2))
    return 0
