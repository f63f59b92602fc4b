"""Proof that backends are one function: limits derived from float32 itself, and each backend held
against float64.
"""
