"""A user's own model in the spec's terms: the graph that a framework tells, lifted to a tree of
layers, and to a network where nothing foreign is left.
"""
