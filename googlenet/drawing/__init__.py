"""Pictures: what all have in common, and what networks cost."""
