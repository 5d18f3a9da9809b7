"""Prints what a YAML file has that a JSON Schema does not admit, one line each.

    python schema_errors.py FILE.yml SCHEMA.json [FOLDER]

For an interpreter with a jsonschema that knows today's drafts, such as Meltano's. FOLDER holds the schemas that
SCHEMA.json refers to; they are known by their `$id`, as the Meltano Hub's own check knows them.
"""

import json
import sys
from pathlib import Path

import yaml
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7


def main(document: Path, schema_file: Path, folder: Path | None = None) -> None:
    """Print the errors."""
    schemas = [json.loads(path.read_text("utf-8")) for path in (folder.rglob("*.json") if folder else [])]
    resources = [Resource.from_contents(one, default_specification=DRAFT7) for one in schemas]
    registry = Registry().with_resources((one.id(), one) for one in resources)
    schema = json.loads(schema_file.read_text("utf-8"))
    kind = validator_for(schema)
    kind.check_schema(schema)
    for error in kind(schema, registry=registry).iter_errors(yaml.safe_load(document.read_text("utf-8"))):
        print(f"{error.json_path}: {error.message}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
