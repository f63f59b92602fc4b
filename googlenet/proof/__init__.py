"""The proof that backends are the same function: parity, and the conformance suite."""
