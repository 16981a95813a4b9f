"""CDNOW: 18 months of real orders, replayed, and what they must add up to."""
