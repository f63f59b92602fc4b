"""Proof that backends are the same function: limits derived from float32 itself, and each backend
compared with float64.
"""
