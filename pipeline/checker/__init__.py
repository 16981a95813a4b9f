"""An independent judge of what the worker wrote; shares no code with it."""
