"""Figures of single notebooks, a file or two for each; and drawings, which several share: the
whole method (`method`), what is held out (`protocols`), who belongs with whom (`groups`), all made
with the pen of `drawing`. `slider` moves a figure where somebody sits at the notebook.

They lie in the package because Colab installs nothing else.
"""
