"""Reports: pages that need nothing beside themselves, and the figures in them."""
