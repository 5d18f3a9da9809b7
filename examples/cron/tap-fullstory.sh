#!/bin/bash
# Runs tap-fullstory into a target, from cron, and remembers how far it got.
#
#   tap-fullstory.sh FOLDER TARGET [ARGUMENT...]
#
# FOLDER holds config.json (the tap's settings) and, if you want one, catalog.json. The script adds state.json
# (where the next run goes on), log and lock. A crontab that loads new events every half hour:
#
#   PATH=/opt/tap-fullstory/bin:/opt/target-postgres/bin:/usr/bin:/bin
#   */30 * * * *  /etc/fullstory/tap-fullstory.sh /etc/fullstory target-postgres --config /etc/fullstory/target.json
#
# TAP names another tap command. The exit status is the tap's (its README lists them), or the target's if the tap
# was content, or 74 if state.json could not be written, or 75 if the run before is still going. What went wrong
# is in the log, and in one line on stderr, which cron sends by mail. To begin again at start_date: remove state.json.

set -uo pipefail
umask 077

if [ $# -lt 2 ] || ! folder=$(cd -- "$1" >/dev/null && pwd); then
    echo "Usage: $0 FOLDER TARGET [ARGUMENT...]   FOLDER holds config.json and gets state.json, log and lock" >&2
    exit 2
fi
shift
state=$folder/state.json
log=$folder/log

say() {
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >>"$log"
}

# Tap and target inherit the lock: should this script be killed alone, no second run starts beside them.
exec 9>>"$folder/lock" || exit 74
if ! flock --nonblock 9; then
    say "The run before this one is still going: nothing to do."
    exit 75
fi

# At any moment state.json is a whole state, the old or the new, also after a crash or a power cut: the new one is
# brought to the disk first, and then takes the place of the old one in one step.
keep() {
    printf '%s\n' "$1" >"$state.new" && sync "$state.new" && mv -f "$state.new" "$state" && sync "$folder"
}

# A target prints a state when everything before it is stored. So each is kept as soon as it appears, whatever
# becomes of the rest of the run; waiting for the last one would load again what a failed run has stored already.
keep_states() {
    local line status=0
    while IFS= read -r line; do # is false for a line without its end, the last words of a target that crashed
        case $line in
            '{'*'"bookmarks"'*'}') keep "$line" || status=74 ;;
        esac
    done
    return $status
}

arguments=(--config "$folder/config.json")
if [ -e "$folder/catalog.json" ]; then arguments+=(--catalog "$folder/catalog.json"); fi
if [ -e "$state" ]; then arguments+=(--state "$state"); fi

say "Begun: ${TAP:-tap-fullstory} | $1" # not the arguments: there may be a password among them
"${TAP:-tap-fullstory}" "${arguments[@]}" 2>>"$log" | "$@" 2>>"$log" | keep_states 2>>"$log"
statuses=("${PIPESTATUS[@]}")
say "Ended: tap ${statuses[0]}, target ${statuses[1]}, state file ${statuses[2]}."

for status in "${statuses[@]}"; do
    if [ "$status" != 0 ]; then
        echo "$0: tap ${statuses[0]}, target ${statuses[1]}, state file ${statuses[2]}; see $log" >&2
        exit "$status"
    fi
done
