"""The stream processors that do the common work, each behind the same few lines."""
