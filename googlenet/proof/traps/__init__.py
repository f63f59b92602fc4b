"""The known traps: where the code that a framework's users would write is another function than the
paper's, and says nothing. `table` has them, `question` what is right, `run` measures a framework,
`page` writes the page.
"""
