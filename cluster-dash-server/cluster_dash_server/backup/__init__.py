"""What is kept, copied out and in again by the command line, whether the server runs or not."""
