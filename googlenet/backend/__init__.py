"""What a backend is, how installed ones are found, and what adapters share."""
