"""`python soak/target.py SECONDS --config FILE`: target-postgres that prints a state every SECONDS of loading.

Nothing else is changed. As it comes, it prints one every five minutes and at its end: within the seconds that a run has
here, it would never confirm a part of what it has stored, as it does all the time where loading takes hours.
"""

import sys

from target_postgres.target import TargetPostgres

if __name__ == "__main__":
    TargetPostgres._MAX_RECORD_AGE_IN_MINUTES = float(sys.argv.pop(1)) / 60
    sys.exit(TargetPostgres.cli())
