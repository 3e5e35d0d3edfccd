"""What people and scripts read: pages, text, JSON."""
