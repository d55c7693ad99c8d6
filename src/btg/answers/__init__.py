"""What the commands tell, from the published file or against it."""
