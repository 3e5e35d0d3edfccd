"""The agent of cluster-dash on each host: takes readings of CPU, memory, disks and GPUs, gives posts to the server."""

__version__ = "0.1.0"
