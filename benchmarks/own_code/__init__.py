"""GoogLeNet as users write it, in several styles for each framework, from a plan."""
