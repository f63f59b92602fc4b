"""Images: files, sets, batches, and what happens to them before a network sees them."""
