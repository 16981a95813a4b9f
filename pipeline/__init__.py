"""The live customer journey: five channels in, exactly-once stage changes out."""

__version__ = "0.1.0"
