#!/bin/bash
# Loads files of `tap-fullstory --to FOLDER --format csv` into PostgreSQL, those of each manifest once.
#
# Usage: postgres.sh FOLDER [ARGUMENT OF psql...]; files that these arguments name are looked for in FOLDER
#
#   psql -d warehouse -f examples/sql/create_postgres.sql     once: the tables
#   examples/load/postgres.sh files -d warehouse              after each run of the tap
#
# The rows of a manifest and its name are stored together or not at all, so it may be stopped and started again at any
# time. Needs psql and gzip; psql reads the files, so it runs where they are.
set -euo pipefail

cd -- "$1" # so that no path but those that the tap makes stands in a statement
shift
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

# In each manifest a line says: "path": "events/NAME".
files_of() { sed -n 's/^ *"path": "\(.*\)",$/\1/p' "$1"; }

# Names become a part of statements and commands: none but those that the tap makes may.
check() {
    case $1 in
    *[!A-Za-z0-9_./-]*)
        echo "$0: not a name that the tap makes: $1" >&2
        exit 1
        ;;
    esac
}

loaded=$(ask "$@" -c 'SELECT manifest FROM fullstory.loaded')
for manifest in _manifests/*.json; do
    name=$(basename "$manifest")
    if [ ! -e "$manifest" ] || grep -qxF -- "$name" <<<"$loaded"; then
        continue
    fi
    check "$name"
    {
        echo "BEGIN;"
        # refused if another one loads the same now: then nothing of this manifest is stored twice
        echo "INSERT INTO fullstory.loaded VALUES ('$name');"
        for file in $(files_of "$manifest"); do
            check "$file"
            columns=$(gzip -dc "$file" | sed -n '1{p;q;}' || true)
            # \copy takes one line; it reads what is not in quotes, and empty, as null
            echo "\\copy fullstory.${file%%/*} ($columns) FROM PROGRAM 'gzip -dc $file' (FORMAT csv, HEADER)"
        done
        echo "COMMIT;"
    } | ask "$@"
    echo "$name is loaded."
done
