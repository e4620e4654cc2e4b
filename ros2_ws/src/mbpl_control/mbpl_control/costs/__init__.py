"""Cost terms with exact derivatives."""
