"""What whoever serves the application tells it of who asks, in the environ of a request."""

from __future__ import annotations

HAS_LEFT = "cluster_dash.has_left"
"""A function without arguments, for any thread: whether nobody waits for the answer. Only `serving` gives it."""
