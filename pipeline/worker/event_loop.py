"""The event loops of a worker: uvloop's where it exists."""

import asyncio

try:
    import uvloop
except ImportError:  # Windows has none
    _LOOPS: asyncio.AbstractEventLoopPolicy = asyncio.DefaultEventLoopPolicy()
else:
    _LOOPS = uvloop.EventLoopPolicy()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A fresh loop that belongs to nobody yet."""
    return _LOOPS.new_event_loop()
