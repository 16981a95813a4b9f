"""The embedded stack for development and tests, and the traffic that runs on it."""
