"""Arrays of a network: names, shapes, initial values and files."""
