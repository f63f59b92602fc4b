"""The exact proof: problems on which float32 rounds nothing, so that every backend must give the
same bits.
"""
