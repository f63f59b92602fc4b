"""The proof that backends are one function: parity, and the conformance suite."""
