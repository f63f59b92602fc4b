"""Weights files of every kind that people have, written by the libraries themselves: a module a
framework, whose `make` puts them into a `Folder`; `none` has what needs no framework.
"""
