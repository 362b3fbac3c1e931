"""Figures: units on every axis, one style. Each function returns a Figure.

Lives here: what everybody needs, in `scores` and `maps`; figures of single notebooks, in
`lessons/`. May import everything; nothing imports it.
"""

from .lessons.attention import attention_matrices, two_attentions
from .lessons.can_you_trust_it import abstaining, strangers, trust
from .lessons.context import (
    across_blocks,
    against_truth,
    between,
    in_company,
    known_beforehand,
    neighbours,
    same_units,
)
from .lessons.exercises import (
    folds,
    found_among_nearest,
    gains_per_doubling,
    labels_needed,
    leak,
    resampled,
    two_less,
)
from .lessons.groups import attention_groups, packed_populations, pull_and_push
from .lessons.method import method
from .lessons.objective import (
    attraction_fades,
    negatives,
    on_circle,
    pushes_of_views,
    readable_parts,
    sorting,
    temperature_weights,
)
from .lessons.pairs import distances, found_by_copying, one_pair, second_views
from .lessons.protocols import protocols, session_journey
from .lessons.sessions import identity, light_response, separation, session_timeline, unit_quality
from .lessons.slider import slider
from .lessons.training import good_curve, gradient_norms, resumed, schedule, trouble
from .lessons.transformer import multiplications, rotary_hands, rows_permuted, what_reaches
from .lessons.views import packing, spikes_in_bins, two_views
from .lessons.your_data import neighbour_agreement, used_time
from .maps import activity, alone_and_together, map
from .scores import confusion, curves, history, scores
from .style import PALETTE, STYLE, colours, named, styled_figure

__all__ = [
    "PALETTE",
    "STYLE",
    "abstaining",
    "across_blocks",
    "activity",
    "against_truth",
    "alone_and_together",
    "attention_groups",
    "attention_matrices",
    "attraction_fades",
    "between",
    "colours",
    "confusion",
    "curves",
    "distances",
    "folds",
    "found_among_nearest",
    "found_by_copying",
    "gains_per_doubling",
    "good_curve",
    "gradient_norms",
    "history",
    "identity",
    "in_company",
    "known_beforehand",
    "labels_needed",
    "leak",
    "light_response",
    "map",
    "method",
    "multiplications",
    "named",
    "negatives",
    "neighbour_agreement",
    "neighbours",
    "on_circle",
    "one_pair",
    "packed_populations",
    "packing",
    "protocols",
    "pull_and_push",
    "pushes_of_views",
    "readable_parts",
    "resampled",
    "resumed",
    "rotary_hands",
    "rows_permuted",
    "same_units",
    "schedule",
    "scores",
    "second_views",
    "separation",
    "session_journey",
    "session_timeline",
    "slider",
    "sorting",
    "spikes_in_bins",
    "strangers",
    "styled_figure",
    "temperature_weights",
    "trouble",
    "trust",
    "two_attentions",
    "two_less",
    "two_views",
    "unit_quality",
    "used_time",
    "what_reaches",
]
