"""`make bench` and `make profile`: how fast the tap is beside others, and where its time goes."""
