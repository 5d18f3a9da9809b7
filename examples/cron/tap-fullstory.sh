#!/bin/bash
# Runs tap-fullstory into a target, from cron, systemd or Kubernetes, and remembers how far it got.
#
#   tap-fullstory.sh FOLDER TARGET [ARGUMENT...]
#
# FOLDER holds config.json (the tap's settings) and, if you want one, catalog.json. The script adds state.json
# (where the next run goes on), log and lock. A crontab that loads new events every half hour:
#
#   PATH=/opt/tap-fullstory/bin:/opt/target-postgres/bin:/usr/bin:/bin
#   */30 * * * *  /etc/fullstory/tap-fullstory.sh /etc/fullstory target-postgres --config /etc/fullstory/target.json
#
# Variables: TAP names another tap command, STATE_DIRECTORY another folder for what the script adds; LOG=- sends the
# log to stderr. The exit status is the tap's (its README lists them), or the target's if the tap was content, or 74 if
# state.json could not be written, or 75 if the run before is still going. What went wrong is in the log, and in one
# line on stderr, which cron sends by mail. To begin again at start_date: remove state.json.
#
# Told to stop (SIGTERM, SIGINT, SIGHUP), it stops the tap alone: the target gets the end of what the tap wrote, stores
# it and confirms it. Told again two seconds later or more, it stops the target, too.

set -uo pipefail
umask 077

if [ $# -lt 2 ] || ! folder=$(cd -- "$1" >/dev/null && pwd); then
    echo "Usage: $0 FOLDER TARGET [ARGUMENT...]   FOLDER holds config.json and gets state.json, log and lock" >&2
    exit 2
fi
shift
own=${STATE_DIRECTORY:-$folder}
state=$own/state.json
if [ "${LOG:-}" = - ]; then
    log="the lines above"
    exec 8>&2
else
    log=$own/log
    exec 8>>"$log" || exit 74
fi

say() {
    TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T %s\n' -1 "$*" >&8
}

# Tap and target inherit the lock: should this script be killed alone, no second run starts beside them.
exec 9>>"$own/lock" || exit 74
if ! flock --nonblock 9; then
    say "The run before this one is still going: nothing to do."
    exit 75
fi

# At any moment state.json is a whole state, the old or the new, also after a crash or a power cut: the new one is
# brought to the disk first, and then takes the place of the old one in one step.
keep() {
    printf '%s\n' "$1" >"$state.new" && sync "$state.new" && mv -f "$state.new" "$state" && sync "$own"
}

# A target prints a state when everything before it is stored. So each is kept as soon as it appears, whatever
# becomes of the rest of the run; waiting for the last one would load again what a failed run has stored already.
keep_states() {
    local line status=0
    trap '' TERM # what a target says when it is stopped is kept, too
    while IFS= read -r line; do # is false for a line without its end, the last words of a target that crashed
        case $line in
            '{'*'"bookmarks"'*'}') keep "$line" || status=74 ;;
        esac
    done
    return $status
}

# Says who the tap is, and at the end how tap, target and state file fared.
run() {
    trap : TERM # outlives the target, but does not have it ignore the signal
    { echo "$BASHPID" >&4 && exec "${TAP:-tap-fullstory}" "${arguments[@]}" 2>&8 4>&-; } |
        "$@" 2>&8 4>&- |
        keep_states 2>&8 4>&-
    echo "${PIPESTATUS[@]}" >&4
}

# A target that is stopped has not stored what it has read; the tap can be stopped at any time.
stop() {
    if [ -z "$stopped" ]; then
        stopped=$SECONDS
        say "Told to stop: stopping the tap."
        kill "$tap"
    elif ((SECONDS > stopped + 1)); then # not the same signal twice, as `timeout` sends it
        say "Told to stop once more: stopping the target, too."
        kill -- "-$group"
    fi
} 2>/dev/null # what has ended by itself, or not begun

arguments=(--config "$folder/config.json")
if [ -e "$folder/catalog.json" ]; then arguments+=(--catalog "$folder/catalog.json"); fi
if [ -e "$state" ]; then arguments+=(--state "$state"); fi

say "Begun: ${TAP:-tap-fullstory} | $1" # not the arguments: there may be a password among them
exec 3< <(:) 4>/dev/fd/3 # a pipe: 3 is its end for reading, 4 the one for writing
tap= group= stopped=
trap stop TERM INT HUP
set -m # a process group of its own: Ctrl-C and `timeout` signal the whole group, and the target must not be hit
run "$@" 3<&- </dev/null &
group=$!
set +m
exec 4>&-
read -r tap <&3
if [ -n "$stopped" ]; then kill "$tap"; fi
# Not `wait`, which mixes up statuses when signals come. Again after a while: a signal that comes in the moment before it
# waits is heeded only then.
until read -r -t 5 -a statuses <&3; do
    if (($? <= 128)); then # nobody is left to say more
        statuses=(137 137 137)
        break
    fi
done
wait "$group" # it has the lock

result="tap ${statuses[0]}, target ${statuses[1]}, state file ${statuses[2]}"
say "Ended: $result."
for status in "${statuses[@]}"; do
    if [ "$status" != 0 ]; then
        echo "$0: $result; see $log" >&2
        exit "$status"
    fi
done
