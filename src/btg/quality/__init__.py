"""The two gates: rules from the catalogue, audits in SQL, findings in one form."""
