"""The live customer journey: five channels in, exactly-once stage changes out."""

from pipeline import _compiled

__version__ = "0.1.0"

_compiled.use()
