"""What is known right now: the latest post of each host and its recent history, in memory."""
