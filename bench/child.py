"""Runs one command and prints what it took, as JSON. Usage: python -I -S child.py DRAIN COMMAND...

DRAIN is a shell command that reads the output of COMMAND; what it prints itself is part of the result. This is a
program of its own, and a small one, because Linux counts the memory that the parent held when it started a child as the
child's: `ru_maxrss` of what the large process of the benchmark starts would be the benchmark's own.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command, wait for it, print what it took."""
    drain, *command = sys.argv[1:]
    source, sink = os.pipe()
    result, answer = os.pipe()
    take = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, answer, 1)]
    drainer = os.posix_spawn("/bin/sh", ["sh", "-c", drain], os.environ, file_actions=take)
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1)])
    for descriptor in (source, sink, answer):
        os.close(descriptor)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    with open(result, encoding="utf-8") as drained:
        text = drained.read()
    os.waitpid(drainer, 0)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": usage.ru_utime + usage.ru_stime,
                "peak": usage.ru_maxrss,
                "status": os.waitstatus_to_exitcode(status),
                "drained": text,
            }
        )
    )


if __name__ == "__main__":
    main()
