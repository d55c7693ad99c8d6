"""How sure every result is: what is computed beside the models at every build."""
