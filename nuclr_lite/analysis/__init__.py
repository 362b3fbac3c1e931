"""Looking at what came out: leak checks, what a vector rests on, who is found again, sentences for
a paper.

Lives here: `checks`, `interpretation`, `learning_curve`, `multi_unit`, `retrieval`, `wording`.
May import the modules of the ground floor and `files/`; may not import `sources/`, `experiments/`,
`plots/`.
"""
