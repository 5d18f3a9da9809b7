#!/bin/bash
# Tells about new sessions of the people that "sessions_for" names: a line for each since the last run.
#
# Usage: notify.sh CONFIG STATE COMMAND...; COMMAND gets the lines on stdin, if there are any
#
#   notify.sh config.json sessions.json mail -s "New sessions" support@example.com
#
# Nobody's first run tells anything: it only remembers up to where they are known. The state moves when COMMAND has
# succeeded, so a session may be told twice, but not never. Needs tap-fullstory and jq.
set -euo pipefail
config=$1 state=$2 failed=0 work=$(mktemp -d)
shift 2
trap 'rm -r -- "$work"' EXIT
[ -s "$state" ] || echo '{}' >"$state"
tap-fullstory --config "$config" --discover |
    jq '.streams |= map(select(.tap_stream_id == "user_sessions") | .metadata[0].metadata.selected = true)' >"$work/catalog"
tap-fullstory --config "$config" --catalog "$work/catalog" --state "$state" >"$work/out" || failed=$?
jq -r --slurpfile was "$state" 'select(.type == "RECORD").record | select(.person as $one | $was[0].bookmarks.user_sessions | has($one)?)
    | "\(.createdTime)  \(.person)  \(.fsUrl)" | gsub("[^ -~]"; "?")' "$work/out" >"$work/new"
if [ -s "$work/new" ]; then "$@" <"$work/new"; fi
jq -c 'select(.type == "STATE").value' "$work/out" | tail -n 1 >"$work/state"
if [ -s "$work/state" ]; then cp -- "$work/state" "$state.new" && mv -- "$state.new" "$state"; fi
exit "$failed"
