"""What is measured besides the tap: each runs in an environment of its own, none imports the tap."""
