"""Pure rules of the journey: no clock, no I/O, no randomness."""
