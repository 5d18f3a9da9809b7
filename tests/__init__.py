"""All tests; a package, so that nothing else that is installed under this name is taken for it."""
