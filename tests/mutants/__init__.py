"""Who checks the checkers: bugs planted into the real code, and which checker sees each of them. `make mutants`."""
