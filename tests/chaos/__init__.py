"""Everything that can be done to a running pipeline, done at random and for as long as wanted: `make chaos`."""
