"""`python -m tap_fullstory.user` is the command `fullstory-user`."""

from tap_fullstory.user.cli import main

if __name__ == "__main__":
    main()
