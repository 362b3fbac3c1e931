"""Figures of single notebooks, a file or two for each.

They lie in the package because Colab installs nothing else.
"""
