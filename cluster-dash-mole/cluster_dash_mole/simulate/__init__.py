"""Takes a number of hosts and a seed, gives a fleet that never was: its posts, and what is true of it."""

from __future__ import annotations
