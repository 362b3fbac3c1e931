"""Figures of single notebooks, a file a notebook or two.

They lie in the package because Colab installs nothing else.
"""
