"""A network as stand-alone source of a framework: its spec folded to a tree of calls, alike
composites made one class, and the whole printed in the framework's own idiom.
"""
