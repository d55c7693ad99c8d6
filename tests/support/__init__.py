"""What several tests share: a loopback statistics service, its faults, and changed tables."""
