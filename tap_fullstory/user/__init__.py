"""The command `fullstory-user`: look somebody up, list their sessions, export their events, delete them.

Nothing of it is part of a sync, and nothing else of the tap changes anything at Fullstory.
"""
