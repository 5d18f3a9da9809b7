"""tap-fullstory: every captured Fullstory event, as Singer messages on stdout."""

__version__ = "3.0.0"
