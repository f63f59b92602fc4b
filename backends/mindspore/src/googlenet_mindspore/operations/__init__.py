"""What each of MindSpore's operations is in neutral terms, also where users or MindSpore put one
together from several.
"""
