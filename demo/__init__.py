"""`make demo`: Fullstory, the tap, a target and a database, all on this machine."""
