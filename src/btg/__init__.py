"""btg: an open, reproducible pipeline for the BTG open-data index of regional well-being."""
