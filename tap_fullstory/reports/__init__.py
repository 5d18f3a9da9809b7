"""`tap-fullstory-report`: what the reports of runs in a folder say, for monitors and for people."""
