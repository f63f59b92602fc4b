"""What a network is: layers, traversal, what is told from them, and how it is trained."""
