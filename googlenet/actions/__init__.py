"""What a user does, each a function with a typed result: the commands print these and add nothing.
`from googlenet import train` and its like give them.
"""
