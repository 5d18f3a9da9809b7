"""`python -m tap_fullstory.reports` is the command `tap-fullstory-report`."""

from tap_fullstory.reports.cli import main

if __name__ == "__main__":
    main()
