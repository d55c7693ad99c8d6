"""The catalogue: data that a domain expert may change, with its schema and loader."""
