"""`GET /metrics`: what an existing Prometheus reads."""
