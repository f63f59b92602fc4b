"""How long frameworks take: each in its own process, all of them in turn, round after round."""
