"""Pictures: what they have in common, and those of what networks cost."""
