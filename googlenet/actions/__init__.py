"""What a user can do, each a function with a typed result; the commands only print these results.
Import them from the package, as in `from googlenet import train`.
"""
