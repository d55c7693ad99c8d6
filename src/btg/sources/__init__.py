"""Where figures come from: one protocol, one module per kind of source."""
