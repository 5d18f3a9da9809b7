"""`python -m tap_fullstory` is the command `tap-fullstory`."""

from tap_fullstory.cli import main

if __name__ == "__main__":
    main()
