"""`make soak`: runs that are killed at random moments, into a real PostgreSQL, until every event is counted."""
