"""Two times, in ms, that are none."""

NEVER = -1
"""Has not come: no touch of that kind yet, no watermark known."""

FAR = 1 << 62
"""Later than every time: no timer."""
