"""`python -m tap_fullstory` is the command `tap-fullstory`."""

import sys

from tap_fullstory.cli import main

if __name__ == "__main__":
    sys.exit(main())
