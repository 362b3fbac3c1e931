# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · The objective: find yourself among the others
#
# [![Open in Colab][colab badge]][colab] [![Open in Binder][binder badge]][binder]
#
# [colab badge]: https://colab.research.google.com/assets/colab-badge.svg
# [binder badge]: https://mybinder.org/badge_logo.svg
# [colab]: https://colab.research.google.com/github/OWNER/nuclr_lite/blob/main/notebooks/04_objective.ipynb
# [binder]: https://mybinder.org/v2/gh/OWNER/nuclr_lite/main?urlpath=lab/tree/notebooks/04_objective.ipynb
#
# **You will learn** what the encoder is asked for, and to compute it by hand for three units; to
# write the loss as a loop of ten lines that gives what the module gives, gradients included; and to
# read the numbers that one watches during training, and what each is when training has failed.
#
# **Needs** nothing but this repository. **Takes** about 1 minute to run on a laptop (2 cores), and
# an hour to read; no GPU needed. Sections 1 to 10 use made-up vectors, few enough to check by hand;
# 11 and 12 simulated animals, which need no download.
#
# There are no labels. The task is: here is a unit's vector from one window; find the same unit
# among all units of another window. The vector must hold what stays with a unit over time and
# differs from one unit to the next. The [loss, or objective](../docs/glossary.md#contrastive-loss),
# turns that into one number, which training makes small by following its gradient.

# %% tags=["setup"]
import importlib.util, subprocess, sys

# Colab and the like; numpy and torch stay as they are
if importlib.util.find_spec("nuclr_lite") is None:
    wanted = "nuclr-lite[notebooks] @ git+https://github.com/OWNER/nuclr_lite"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
    importlib.invalidate_caches()

# %% tags=["parameters"]
profile = "laptop"  # "smoke": seconds; "laptop": about a minute; "full": more seeds and steps
temperature = 0.2  # no unit; the paper's. Expected numbers below are for 0.2
n_animals = 4  # simulated animals that the batch of section 11 is drawn from
seed = 0  # of all random draws

# %%
import nuclr_lite as nl

# %% [markdown] tags=["slide"]
# This notebook builds the part in colour: the loss that draws a unit's two vectors together, and
# pushes those of different units apart.

# %% tags=["slide"]
nl.plots.method("contrast")

# %%
import math
from dataclasses import replace

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from nuclr_lite import loss as module
from nuclr_lite.sources import simulated

# %% [markdown] tags=["slide"]
# ## 1 · Who is matched, who is a stranger
#
# The two [views](../docs/glossary.md#view) of a population may show different units, and the same
# unit in another row. A unit that both show is [matched](../docs/glossary.md#matched-unit); one
# that only one shows is a *stranger*. Our example: view 1 shows units 7, 8 and 9; view 2 shows 8
# and 7. Unit 9 is a stranger.


# %% tags=["slide-code"]
def matched_rows(ids_1, ids_2):
    """Rows of the units that both views show. ids_1 (n1,), ids_2 (n2,) -> [(row in 1, row in 2),
    ...].
    """
    names_2 = ids_2.tolist()
    return [(i, names_2.index(name)) for i, name in enumerate(ids_1.tolist()) if name in names_2]


ids_1, ids_2 = torch.tensor([7, 8, 9]), torch.tensor([8, 7])
print("matched, as (row in view 1, row in view 2):", matched_rows(ids_1, ids_2))

# %% [markdown]
# The module does this for all populations of a batch at once. Ids need only be unique within a
# population: below, two animals both have a unit 0.

# %%
# animal 1: 0 1 2; animal 2: 0 5
two_ids_1, two_sizes_1 = torch.tensor([0, 1, 2, 0, 5]), torch.tensor([3, 2])
# animal 1: 2 0; animal 2: 5 4 3
two_ids_2, two_sizes_2 = torch.tensor([2, 0, 5, 4, 3]), torch.tensor([2, 3])
matches = module.match_units(two_ids_1, two_ids_2, two_sizes_1, two_sizes_2)
by_hand = matched_rows(two_ids_1[:3], two_ids_2[:2])
by_hand += [(i + 3, j + 2) for i, j in matched_rows(two_ids_1[3:], two_ids_2[2:])]
assert sorted(zip(matches.row_1.tolist(), matches.row_2.tolist())) == sorted(by_hand)
by_hand

# %% [markdown]
# ## 2 · The projector, and the cosine
#
# Between encoder and loss stands the [projector](../docs/glossary.md#projector): LayerNorm (see
# `03_transformer`), a linear layer, ReLU (which puts negative numbers to 0), a linear layer, all as
# wide as the encoder's output. The loss sees its output. After pretraining it is thrown away;
# section 10 shows why.


# %%
class Projector(nn.Module):
    """(..., dim) -> (..., dim): centre and scale each vector, then two linear layers with a ReLU
    between.
    """

    def __init__(self, dim):
        super().__init__()
        self.norm, self.hidden, self.out = (
            nn.LayerNorm(dim),
            nn.Linear(dim, dim),
            nn.Linear(dim, dim),
        )

    def forward(self, x):
        return self.out(F.relu(self.hidden(self.norm(x))))


# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    mine, theirs = Projector(16), module.projector(16)
# same weights, other names
mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values())))
x = torch.randn(5, 16, generator=torch.Generator().manual_seed(seed))
assert_close(mine(x), theirs(x))
encoder_names = [name for name, _ in nl.NuCLR(nl.PRESETS["quick"].model).named_parameters()]
# it lives in the loss
assert encoder_names and not any("projector" in name for name in encoder_names)

# %% [markdown]
# Two vectors are compared by their [cosine](../docs/glossary.md#cosine):
#
# $$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \, \lVert b \rVert}$$
#
# Lengths don't count, so matches can't be brought near by shrinking all vectors. From here on, $z$
# is a projected vector divided by its length. The cosine of two such vectors is a plain dot
# product.


# %%
def cosine(a, b):
    """Of the angle between two vectors: a (D,), b (D,) -> ()."""
    return (a @ b) / (a.norm() * b.norm())


a, b = torch.tensor([4.0, 3.0]), torch.tensor([1.0, 0.0])
print("by hand: (4*1 + 3*0) / (5 * 1) =", cosine(a, b).item())
assert_close(cosine(10 * a, b), cosine(a, b))  # length doesn't count
assert_close(F.normalize(a, dim=0) @ F.normalize(b, dim=0), cosine(a, b))

# %% [markdown] tags=["slide"]
# ## 3 · Temperature is contrast
#
# A unit must be told apart from its [negatives](../docs/glossary.md#negatives). Let $\cos_j$ be its
# cosine with negative $j$. These must become one number, to be made small. The mean won't do: a
# unit that is confused with one other is not helped by being far from fifty more. The maximum sees
# only one. Between them lies the *log-sum-exp*, $\log \sum_j e^{\cos_j/\tau}$, a soft maximum; the
# [temperature](../docs/glossary.md#temperature) $\tau$ says how soft. Its derivative is the push
# that negative $k$ gives:
#
# $$\frac{\partial}{\partial \cos_k} \log \sum_j e^{\cos_j/\tau} = \frac{w_k}{\tau},
# \qquad w_k = \frac{e^{\cos_k/\tau}}{\sum_j e^{\cos_j/\tau}}$$
#
# The weights $w$ are a softmax: they sum to 1. Checked by torch's automatic derivatives, for six
# negatives:

# %%
cosines = torch.tensor([-0.6, -0.3, 0.0, 0.3, 0.6, 0.9], requires_grad=True)
taus = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
weights, soft_maximum = {}, {}
for tau in taus:
    together = (cosines / tau).logsumexp(0)
    (push,) = torch.autograd.grad(together, cosines)  # (6,)
    weights[tau] = (cosines / tau).softmax(0).detach()
    assert_close(push, weights[tau] / tau)
    soft_maximum[tau] = tau * (together.item() - math.log(len(cosines)))
rounded = pd.Index(cosines.detach().numpy().round(1), name="cosine")
table = pd.DataFrame(weights, index=rounded).rename_axis(columns="temperature")
table[[0.05, 0.2, 1.0]].round(3)

# %% [markdown]
# `soft_maximum` is the log-sum-exp brought back to the scale of the cosines: times $\tau$, after
# $\log 6$, which the six negatives add, was subtracted. Where between mean and maximum do you
# expect it at a temperature of 0.2? And from which temperature on does the nearest negative give
# less than half of the push? Answer first; then run the cell and move its slider.

# %% tags=["slide"]
nl.plots.slider(
    lambda tau: nl.plots.temperature_weights(cosines.detach(), weights, soft_maximum, tau),
    "temperature",
    taus,
    at=0.2,
)

# %% [markdown]
# At 0.05 nearly all of the push comes from the nearest negative; at 1 all take part. A low
# temperature spends everything on the most similar negative, which may be a unit of the same kind,
# and should then stay near. The paper uses 0.2.
#
# ## 4 · Attraction and repulsion, by hand

# %% tags=["slide"]
nl.plots.pull_and_push(temperature)

# %% [markdown] tags=["slide"]
# A population has $n_1$ units in view 1, $n_2$ in view 2, and $M$ matched units. $z^1_i$ and
# $z^2_i$ are the two vectors of unit $i$:
#
# $$\text{attraction} = \frac{1}{M}\sum_i \frac{1 - \cos(z^1_i, z^2_i)}{\tau}$$
#
# $$\text{repulsion}^{1}_i = \log \frac{1}{n_1 + n_2}
# \Big[\underbrace{\sum_{k \ne i} e^{\cos(z^1_i, z^2_k)/\tau}}_{\text{others in the other view}}
# + \underbrace{\sum_{k \ne i} e^{\cos(z^1_i, z^1_k)}}_{\text{others in its own view}}\Big]$$
#
# - The attraction's sum runs over matched units; the repulsion's over everybody in that view,
#   strangers included, except unit $i$: neither itself nor its own match.
# - Divided by $n_1 + n_2$, a large population doesn't cost more merely for being large.
# - $\text{repulsion}^{2}_i$ is the same seen from view 2. The repulsion is the mean of both, then
#   over matched units. **Loss = attraction + repulsion.** It may be negative. Logarithms are
#   natural, so its unit is the *nat*.
# - Only similarities *across* views are divided by $\tau$: see section 7.
#
# Now units 7, 8 and 9, with $\tau = 0.5$. (View 1 is drawn on the inner ring, view 2 on the outer
# one; it is one circle.)
#
# Unit 7 seen from view 1: its negatives are unit 8 in view 2 (cosine 0), and units 8 and 9 in its
# own view (cosines 0 and -1). So its repulsion is
# $\log\,[(e^{0/0.5} + e^{0} + e^{-1})/5] = \log 0.474 = -0.747$. The cell after the picture does
# all four; its comments list the negatives, with a prime, 8', for those in view 2.

# %%
view_1 = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])  # units 7, 8, 9
view_2 = torch.tensor([[0.0, 1.0], [0.8, 0.6]])  # units 8, 7
nl.plots.on_circle({"three units": (view_1, view_2)}, ids_1, ids_2)

# %%
TAU = 0.5
attraction = ((1 - 0.8) / TAU + (1 - 1.0) / TAU) / 2  # units 7 and 8
seven_1 = math.log((math.exp(0 / TAU) + math.exp(0) + math.exp(-1)) / 5)  # from view 1: 8'; 8, 9
# from view 2: 8, 9; 8'
seven_2 = math.log((math.exp(0.6 / TAU) + math.exp(-0.8 / TAU) + math.exp(0.6)) / 5)
eight_1 = math.log((math.exp(0.6 / TAU) + math.exp(0) + math.exp(0)) / 5)  # from view 1: 7'; 7, 9
# from view 2: 7, 9; 7'
eight_2 = math.log((math.exp(0 / TAU) + math.exp(0 / TAU) + math.exp(0.6)) / 5)
repulsion = (seven_1 + seven_2 + eight_1 + eight_2) / 4
print(f"unit 7: {seven_1:.3f} and {seven_2:.3f}; unit 8: {eight_1:.3f} and {eight_2:.3f}")
print(f"attraction {attraction:.3f} + repulsion {repulsion:.3f} = {attraction + repulsion:.3f}")

# %% [markdown]
# Unit 9 has no repulsion of its own, but it is in all four sums. The module, `nl.ContrastiveLoss`,
# says the same, once its projector is replaced by one that does nothing:


# %%
def bare_loss(temperature, **options):
    """The module's loss on the vectors as they are: its projector does nothing."""
    objective = nl.ContrastiveLoss(1, temperature, **options)  # 1: the width of what we throw out
    objective.projector = nn.Identity()
    return objective


parts = bare_loss(TAU)(view_1, view_2, ids_1, ids_2, torch.tensor([3]), torch.tensor([2]))
assert_close(torch.stack(parts), torch.tensor([attraction + repulsion, attraction, repulsion]))

# %% [markdown] tags=["slide"]
# ## 5 · Ten lines of loop
#
# First the repulsion of one unit in one direction; then a loop over populations and matched units.
# A unit that has no negative at all (alone in both views) gets a repulsion of 0. (The authors' code
# gives minus infinity, the logarithm of an empty sum.)


# %%
def repulsion_of_one(own, other, i, match, temperature, within_temperature=1.0):
    """How near the others come to unit i. own (n1, D), other (n2, D): unit vectors; i, match: its
    rows there -> ().
    """
    # (n2 - 1,) its match left out
    across = torch.cat([other[:match], other[match + 1 :]]) @ own[i] / temperature
    # (n1 - 1,) itself left out
    within = torch.cat([own[:i], own[i + 1 :]]) @ own[i] / within_temperature
    similarity = torch.cat([across, within])  # (n1 + n2 - 2,)
    if not len(similarity):
        return 0.0 * own.sum()  # alone: nobody to be told from
    return similarity.logsumexp(0) - math.log(len(own) + len(other))


# %% tags=["slide-code"]
def loss_by_loop(z1, z2, ids_1, ids_2, sizes_1, sizes_2, temperature, within_temperature=1.0):
    """(attraction, repulsion). z1 (U1, D), z2 (U2, D): unit vectors, packed; ids (U1,), (U2,);
    sizes (N,) each.
    """
    attraction, repulsion = [], []
    sizes = (sizes_1.tolist(), sizes_2.tolist())
    packed = zip(
        z1.split(sizes[0]), z2.split(sizes[1]), ids_1.split(sizes[0]), ids_2.split(sizes[1])
    )
    for one, two, names_1, names_2 in packed:  # a population: (n1, D), (n2, D), (n1,), (n2,)
        for i, j in matched_rows(names_1, names_2):
            attraction.append((1 - one[i] @ two[j]) / temperature)
            from_1 = repulsion_of_one(one, two, i, j, temperature, within_temperature)
            from_2 = repulsion_of_one(two, one, j, i, temperature, within_temperature)
            repulsion.append((from_1 + from_2) / 2)
    return torch.stack(attraction).mean(), torch.stack(repulsion).mean()


# %% [markdown]
# **Proof.** Three random populations, with strangers on both sides and one unit alone, through the
# module with its own projector, and through ours. Values and gradients agree.


# %%
def random_views(sizes_1, sizes_2, dim, generator):
    """Random vectors and ids for ContrastiveLoss: (U1, dim), (U2, dim), (U1,), (U2,), (N,),
    (N,).
    """
    ids = [
        torch.cat([torch.randperm(n, generator=generator) for n in sizes])
        for sizes in (sizes_1, sizes_2)
    ]
    vectors = [
        torch.randn(len(names), dim, generator=generator, requires_grad=True) for names in ids
    ]
    return *vectors, *ids, torch.tensor(sizes_1), torch.tensor(sizes_2)


# %%
given = random_views([6, 1, 4], [4, 1, 7], dim=16, generator=torch.Generator().manual_seed(seed))
with torch.random.fork_rng():
    torch.manual_seed(seed)
    objective = nl.ContrastiveLoss(16, temperature)
z1, z2 = (F.normalize(objective.projector(x), dim=1) for x in given[:2])  # (U1, 16), (U2, 16)
ours, theirs = loss_by_loop(z1, z2, *given[2:], temperature), objective(*given)
assert_close(torch.stack(ours), torch.stack(theirs[1:]))
our_gradients = torch.autograd.grad(sum(ours), given[:2])
assert_close(our_gradients, torch.autograd.grad(theirs.total, given[:2]))
print(
    f"attraction {ours[0].item():.4f}, repulsion {ours[1].item():.4f}; the module: the same,"
    " gradients too"
)

# %% [markdown]
# The loop is right, and slow. The module makes one matrix of similarities a population: exercise 3.
#
# ## 6 · Why the match is not among the negatives
#
# *InfoNCE*, the usual loss for such tasks, has one more term under the logarithm: the match itself.
# It is the cross-entropy of a classifier that has to pick the match out of all: up to a constant,
# minus the logarithm of $p$, the share of the sum that the match holds. As $p$ comes near 1, its
# gradient goes to zero. Our loss, with the match left out, is called *decoupled*. The pull on one
# matched unit ($p$: the mean of the two directions) is
#
# $$-\frac{\partial\, \text{loss}}{\partial \cos(z^1_i, z^2_i)}
# = \frac{1 - p}{\tau} \quad\text{(InfoNCE)},
# \qquad \frac{1}{\tau} \quad\text{(decoupled)}$$
#
# To vary that cosine and nothing else, we take one matched unit, and strangers at right angles to
# it and to each other:


# %%
def pull_on_match(cosines, n_strangers, temperature, decoupled):
    """-d loss / d cosine of a matched unit's two vectors, strangers at right angles. cosines (n,)
    -> (n,), nats.
    """
    objective, eye = bare_loss(temperature, decoupled=decoupled), torch.eye(n_strangers + 2)
    ids, sizes = torch.arange(n_strangers + 1), (torch.tensor([1]), torch.tensor([n_strangers + 1]))
    pulls = []
    for c in cosines.clone().requires_grad_():
        match = c * eye[0] + (1 - c**2).sqrt() * eye[1]  # (D,) at cosine c with eye[0]
        total = objective(eye[:1], torch.cat([match[None], eye[2:]]), ids[:1], ids, *sizes).total
        pulls.append(-torch.autograd.grad(total, c)[0])
    return torch.stack(pulls)


# %% tags=["slide"]
grid = torch.linspace(-0.99, 0.99, 23)
pulls = {"decoupled, any number of negatives": pull_on_match(grid, 10, temperature, decoupled=True)}
for n in (300, 50, 10):
    pulls[f"InfoNCE, {n} negatives"] = pull_on_match(grid, n, temperature, decoupled=False)
from_1 = 10 / (10 + (grid / temperature).exp())  # 1 - p: ten strangers at cosine 0
assert_close(pulls["decoupled, any number of negatives"], torch.full_like(grid, 1 / temperature))
assert_close(pulls["InfoNCE, 10 negatives"], from_1 / temperature)
nl.plots.attraction_fades(
    grid, pulls, temperature, title="The pull on a unit's two vectors, as they come together"
)

# %% [markdown]
# With ten negatives InfoNCE has all but stopped pulling before the two vectors meet; with three
# hundred a third of the pull is gone. Negatives come from one population only, often of dozens of
# units: few enough for the fading to matter. (It fades less where negatives are nearer than here;
# and near the goal the pull on the vector, which can only turn, fades in both losses.) Whether
# leaving the match out makes better vectors, `12_what_it_learned` could not tell.
#
# ## 7 · A quirk that the published numbers come from
#
# In the authors' first code, similarities within a view are not divided by $\tau$. With $\tau =
# 0.2$, a negative at cosine 0.9 counts $e^{4.5} = 90$ in the other view, and $e^{0.9} = 2.5$ in its
# own view. The published numbers come from that code, so it is the default;
# `scale_within_view=True` is the textbook form, which the authors' later code uses. How much of the
# push comes from the unit's own view, if both views have as many negatives at the same cosine?


# %%
def push_from_own_view(cosine, temperature, within_temperature):
    """Share of the push that comes from the own view, all negatives at this cosine, as many in each
    view -> float.
    """
    across, within = (torch.tensor(cosine, requires_grad=True) for _ in range(2))
    torch.stack([across / temperature, within / within_temperature]).logsumexp(0).backward()
    return (within.grad / (within.grad + across.grad)).item()


forms = {
    "textbook: all divided by the temperature": temperature,
    "official: only across views": 1.0,
}
shares = {
    name: [push_from_own_view(c, temperature, within) for c in grid.tolist()]
    for name, within in forms.items()
}
assert all(abs(share - 0.5) < 1e-6 for share in shares["textbook: all divided by the temperature"])
nl.plots.pushes_of_views(grid, shares, title="Own view against other view")

# %% [markdown]
# With the official form, its own view has the larger share only for negatives that are far away
# anyway (cosine below about -0.4), and those push little. Our loop and the module have both forms:

# %%
with torch.no_grad():
    textbook = bare_loss(temperature, scale_within_view=True)(*given)
    unit_vectors = [F.normalize(x, dim=1) for x in given[:2]]
    by_loop = loss_by_loop(*unit_vectors, *given[2:], temperature, within_temperature=temperature)
    assert_close(torch.stack(by_loop), torch.stack(textbook[1:]))
    official = bare_loss(temperature)(*given)
print(
    f"repulsion, random vectors: official {official.repulsion.item():.3f}, textbook"
    f" {textbook.repulsion.item():.3f}"
)
assert official.attraction == textbook.attraction

# %% [markdown]
# ## 8 · A population keeps to itself
#
# Negatives never cross [populations](../docs/glossary.md#population). If units of another animal
# were negatives, writing the animal (its state, its noise, its electrode) into the vector would
# lower the loss, and be no help in new animals. **Proof** that populations don't meet in the loss:
# replace one by something else. The gradient of the others stays as it was, and the loss moves only
# by what the new one brings itself.


# %%
def parts_of_population(p, vectors_1, vectors_2, ids_1, ids_2, sizes_1, sizes_2, temperature):
    """(loss of population p alone, its matched units)."""
    packed = zip((vectors_1, vectors_2, ids_1, ids_2), 2 * (sizes_1, sizes_2))
    of = [x.split(sizes.tolist())[p] for x, sizes in packed]
    alone = bare_loss(temperature)(*of, sizes_1[p : p + 1], sizes_2[p : p + 1])
    return alone.total, len(matched_rows(*of[2:]))


x1, x2, *rest = given
other_x1 = torch.cat([x1[:7], 5 * x1[7:].detach().flip(0) - 3])  # the last population replaced
before, after = (bare_loss(temperature)(x, x2, *rest).total for x in (x1, other_x1))
# of the first two populations
gradients = [torch.autograd.grad(total, x1)[0][:7] for total in (before, after)]
assert_close(*gradients)
own = [parts_of_population(2, x, x2, *rest, temperature)[0] for x in (x1, other_x1)]
assert_close(after - before, 4 / 9 * (own[1] - own[0]))  # 4 of the 9 matched units are its
assert abs(before - after) > 0.01

# %% [markdown]
# The whole is the mean over all matched units of the batch. So a population weighs by its number of
# matched units, not by its size.

# %%
apart = [parts_of_population(p, *given, temperature) for p in range(3)]
weighted = sum(total * matched for total, matched in apart) / sum(matched for _, matched in apart)
assert_close(weighted, before)
# the second population
nobody_else = torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), torch.tensor([1])
assert bare_loss(temperature)(x1[6:7], x2[4:5], *nobody_else).repulsion == 0
print(
    "matched units:", [matched for _, matched in apart], "of", sum(matched for _, matched in apart)
)

# %% [markdown] tags=["slide"]
# ## 9 · Where the gradient pulls
#
# Training moves vectors against the gradient. Each view has three matched units and one stranger
# (grey). Predict from the angles in the cell below (`degrees_1`, `degrees_2`) which way each point
# will go. Then run it, and look at each part of the loss by itself:


# %% tags=["slide"]
def downhill(angles_1, angles_2, ids_1, ids_2, temperature):
    """Points (n1, 2), (n2, 2) at these angles (degrees), and minus the gradient of each part of the
    loss on them.
    """
    radians = [angles.deg2rad() for angles in (angles_1, angles_2)]
    # (n, 2) each
    points = [torch.stack([angle.cos(), angle.sin()], dim=1).requires_grad_() for angle in radians]
    sizes = [torch.tensor([len(ids)]) for ids in (ids_1, ids_2)]
    parts = bare_loss(temperature)(*points, ids_1, ids_2, *sizes)._asdict()
    arrows = {
        name: [-g for g in torch.autograd.grad(part, points, retain_graph=True)]
        for name, part in parts.items()
    }
    return [point.detach() for point in points], arrows


circle_1, circle_2 = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 4])
degrees_1, degrees_2 = (
    torch.tensor([10.0, 125.0, 230.0, 195.0]),
    torch.tensor([55.0, 75.0, 290.0, 345.0]),
)
points, arrows = downhill(degrees_1, degrees_2, circle_1, circle_2, temperature)
panels = {
    name: (*points, *(0.55 * arrow for arrow in arrows[name]))
    for name in ("attraction", "repulsion", "total")
}
nl.plots.on_circle(panels, circle_1, circle_2, title="Minus the gradient, by parts")

# %% [markdown]
# Arrows (drawn at about half their length) lie along the circle, because length doesn't count.
# Attraction draws each matched unit towards its match and leaves strangers alone. Repulsion moves
# units 0 and 1 of view 2, which have come near each other, apart; it moves strangers too, here only
# a little. The same, as asserts:

# %%
for both in arrows.values():
    for point, arrow in zip(points, both):
        assert (point * arrow).sum(1).abs().max() < 1e-5  # tangential
towards = points[1][:3] - points[0][:3]  # (3, 2) from view 1 to view 2
assert ((arrows["attraction"][0][:3] * towards).sum(1) > 0).all()
assert ((arrows["attraction"][1][:3] * -towards).sum(1) > 0).all()
assert not arrows["attraction"][0][3].any() and not arrows["attraction"][1][3].any()  # strangers
from_0_to_1 = points[1][1] - points[1][0]
assert arrows["repulsion"][1][0] @ from_0_to_1 < 0 < arrows["repulsion"][1][1] @ from_0_to_1
assert arrows["repulsion"][0][3].norm() > 0 and arrows["repulsion"][1][3].norm() > 0

# %% [markdown]
# ### Free points
#
# Now follow the gradient. Six units, twelve free points, no encoder: can the loss sort them, from
# anywhere, and from near [collapse](../docs/glossary.md#collapse)?


# %%
def descend(z1, z2, steps, temperature, step_size=0.1):
    """Gradient descent on free points z1, z2 (U, D), a row a unit -> (losses (steps,), [(z1, z2),
    ...]).
    """
    ids, size, objective = torch.arange(len(z1)), torch.tensor([len(z1)]), bare_loss(temperature)
    losses, path = [], []
    for _ in range(steps):
        z1, z2 = (F.normalize(z.detach(), dim=1).requires_grad_() for z in (z1, z2))
        path.append((z1.detach(), z2.detach()))
        total = objective(z1, z2, ids, ids, size, size).total
        losses.append(total.item())
        gradient_1, gradient_2 = torch.autograd.grad(total, (z1, z2))
        z1, z2 = z1 - step_size * gradient_1, z2 - step_size * gradient_2
    return torch.tensor(losses), path


# %% tags=["slide"]
generator = torch.Generator().manual_seed(seed)
anywhere = torch.randn(2, 6, 2, generator=generator)  # (view, unit, 2)
collapsed = torch.tensor([0.0, 1.0]) + 0.01 * torch.randn(2, 6, 2, generator=generator)
losses, path = descend(*anywhere, 300, temperature)
losses_collapsed, _ = descend(*collapsed, 300, temperature)
six = torch.arange(6)
nl.plots.on_circle(
    {f"step {at + 1}": path[at] for at in (0, 4, 14, 299)},
    six,
    six,
    title="Six units, free to move",
)

# %% [markdown]
# The two vectors of each unit come together, and the six pairs spread evenly, 60° apart.
#
# What should the loss be at the end? With all $n$ units matched, both vectors of a unit equal, and
# all other cosines $c$, the attraction is 0, and the repulsion has $n - 1$ negatives in either
# view, all at $c$. `landmarks` computes it for three values of $c$: 1 (collapse), 0 (right angles),
# and $-1/(n-1)$, the lowest cosine that all pairs of $n$ directions can have at once.


# %% tags=["slide"]
def landmarks(n, temperature):
    """Total loss (nats) of n units, all matched, official form, in three arrangements with known
    cosines.
    """

    def repulsion(c):
        return math.log((n - 1) * (math.exp(c / temperature) + math.exp(c)) / (2 * n))

    return {
        "all vectors equal": repulsion(1.0),
        "found, all others at 90°": repulsion(0.0),
        "found, all others as far as can be": repulsion(-1 / (n - 1)),
    }


even = torch.stack([(six * 60.0).deg2rad().cos(), (six * 60.0).deg2rad().sin()], dim=1)  # (6, 2)
size_6 = torch.tensor([6])
best_on_circle = bare_loss(temperature)(even, even, six, six, size_6, size_6).total.item()
marks = {
    "all vectors equal": landmarks(6, temperature)["all vectors equal"],
    "found, 60° apart": best_on_circle,
}
starts = {"anywhere": losses, "all but collapsed": losses_collapsed}
nl.plots.sorting(starts, marks, title="The loss on the way (free points)")

# %%
final_1, final_2 = path[-1]
angles = torch.atan2(final_1[:, 1], final_1[:, 0]).rad2deg().sort().values
print("gaps between neighbours (degrees):", angles.diff().round().tolist())
assert_close(angles.diff(), torch.full((5,), 60.0), atol=2.0, rtol=0)
assert_close(losses[-1].item(), best_on_circle, atol=0.01, rtol=0)
assert_close(losses_collapsed[-1].item(), best_on_circle, atol=0.01, rtol=0)

# %% [markdown]
# Collapse is what attraction alone would choose. Repulsion makes it the worst of all states that
# satisfy attraction. At exact collapse the gradient is zero and nothing moves; but it is not
# stable: the second run started about a hundredth away from it and got out. On a circle six units
# can't all be at right angles; in 32 dimensions 24 units can, or a little further apart:

# %%
ids_24, size_24 = torch.arange(24), torch.tensor([24])
equal = torch.ones(24, 32, requires_grad=True)
parts = bare_loss(temperature)(equal, equal.detach(), ids_24, ids_24, size_24, size_24)
(gradient,) = torch.autograd.grad(parts.total, equal)
assert gradient.abs().max() < 1e-5 and parts.attraction.abs() < 1e-5, (
    "at exact collapse nothing moves"
)

# %%
spread = torch.eye(24, 32)
simplex = spread - spread.mean(0)  # 24 directions as far apart as can be
for vectors, value in zip((equal, spread, simplex), landmarks(24, temperature).values()):
    total = bare_loss(temperature)(vectors, vectors, ids_24, ids_24, size_24, size_24).total
    assert_close(total.item(), value, atol=1e-5, rtol=0)
random = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(seed))
at_random = bare_loss(temperature)(*random, ids_24, ids_24, size_24, size_24)
assert at_random.attraction > 0.8 * at_random.total
totals = landmarks(24, temperature) | {"random vectors, nobody found": at_random.total.item()}
pd.Series(totals, name="loss, 24 units (nats)").round(2).to_frame()

# %% [markdown] tags=["slide"]
# These are landmarks for a training curve, for 24 units and this temperature. Random directions
# cost about $1/\tau = 5$, nearly all of it attraction; collapse about 4.3, all of it repulsion;
# perfection about 0 (here a little below: 0 is no floor). Other mixtures of the two parts also give
# 4.3: look at the parts. How near 0 a recording can come is not known beforehand: units of one kind
# look alike.
#
# ## 10 · Why the projector is thrown away
#
# What changes from window to window costs loss, but may be of use to a later reader. A projector
# can drop it behind the encoder. A toy shows that, with made-up vectors: each unit's input mixes
# what it is (4 numbers, the same in both views) with its passing state (4 numbers, new in each
# view). A small network learns under our loss, with the projector and without. What can a linear
# readout (least squares, fit on half of new units, tested on the others) get from the vectors?


# %%
def toy_views(mixing, n_units, generator):
    """identity (U, 4), state in view 1 (U, 4), inputs of views 1 and 2 (U, 8) each, mixed by mixing
    (8, 8).
    """
    identity = torch.randn(n_units, 4, generator=generator)
    states = torch.randn(2, n_units, 4, generator=generator)
    return identity, states[0], *(torch.cat([identity, state], dim=1) @ mixing for state in states)


def explained(x, y):
    """Share of the variance of y (U, K) that a linear readout of x (U, D) explains, fit on half of
    the rows.
    """
    x, half = torch.cat([x, torch.ones(len(x), 1)], dim=1), len(x) // 2
    weights = torch.linalg.lstsq(x[:half], y[:half]).solution
    return (
        1 - ((y[half:] - x[half:] @ weights) ** 2).mean().item() / y[half:].var(dim=0).mean().item()
    )


# %%
def train_toy(with_projector, steps, temperature, seed):
    """(encoder, projector, mixing) after training on fresh toy units at each step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mixing = torch.linalg.qr(torch.randn(8, 8))[0]
        encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
        objective = nl.ContrastiveLoss(8, temperature) if with_projector else bare_loss(temperature)
    optimizer = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=3e-3)
    ids, size = torch.arange(24), torch.tensor([24])
    for _ in range(steps):
        _, _, input_1, input_2 = toy_views(mixing, 24, generator)
        optimizer.zero_grad()
        objective(encoder(input_1), encoder(input_2), ids, ids, size, size).total.backward()
        optimizer.step()
    return encoder, objective.projector, mixing


# %% tags=["slide"]
toy_steps, toy_seeds = {"smoke": (20, 1), "laptop": (400, 3), "full": (1000, 5)}[profile]
rows = []
for toy_seed in range(seed, seed + toy_seeds):
    for with_projector in (True, False):
        encoder, head, mixing = train_toy(with_projector, toy_steps, temperature, toy_seed)
        identity, state, inputs, _ = toy_views(
            mixing, 2000, torch.Generator().manual_seed(1000 + toy_seed)
        )
        with torch.no_grad():
            kinds = {
                f"encoder,\ntrained {'with projector' if with_projector else 'without'}": encoder(
                    inputs
                )
            }
            kinds |= {"output of\nthat projector": head(encoder(inputs))} if with_projector else {}
        rows += [
            {"vectors": name, "what": what, "r2": explained(vectors, truth)}
            for name, vectors in kinds.items()
            for what, truth in (("identity", identity), ("passing state", state))
        ]
toy = pd.DataFrame(rows)
nl.plots.readable_parts(toy, title="What a linear readout finds (toy vectors, simulated)")

# %%
found = toy.groupby(["vectors", "what"])["r2"].mean().unstack()
print(found.rename(index=lambda name: name.replace("\n", " ")).round(2))
if profile != "smoke":
    state_found = found["passing state"]
    assert (
        state_found["encoder,\ntrained with projector"]
        > 0.1 + state_found["encoder,\ntrained without"]
    )
    assert abs(state_found["output of\nthat projector"]) < 0.1 and (found["identity"] > 0.8).all()

# %% [markdown]
# Behind the projector the passing state is gone, and identity is harder to read, too (0.85 in the
# run shown here, against 0.97 before the projector). Before the projector a part of the passing
# state is still there (0.28 of its variance: the mean of three seeds, which differ); without a
# projector, the encoder itself has to drop it (0.00). That a projector helps is known for images
# (Chen et al. 2020); for cell types the toy doesn't show it.
#
# ## 11 · A whole batch, and what one watches
#
# Four pairs of windows from four simulated animals, and an [untrained
# encoder](../docs/glossary.md#untrained-encoder). Pairs are drawn at random, so an animal may come
# twice; each pair is a population of its own.

# %%
preset = nl.PRESETS["quick"].with_(seed=seed)
recordings = nl.simulate_recordings(
    n_animals, seed=seed, config=replace(simulated.SPIKES, duration_s=120.0)
)
batch = nl.PairedViews(recordings, preset.model, preset.views, batch_size=4, seed=seed)[0]

# %%
with torch.random.fork_rng():
    torch.manual_seed(seed)
    encoder, objective = (
        nl.NuCLR(preset.model).eval(),
        nl.ContrastiveLoss(preset.model.dim, temperature),
    )
with torch.no_grad():
    vectors_1 = encoder(batch.tokens_1, batch.sizes_1)  # (U1, L, P) -> (U1, 32)
    vectors_2 = encoder(batch.tokens_2, batch.sizes_2)  # (U2, L, P) -> (U2, 32)
    about = batch.ids_1, batch.ids_2, batch.sizes_1, batch.sizes_2
    theirs = objective(vectors_1, vectors_2, *about)
    projected = [F.normalize(objective.projector(x), dim=1) for x in (vectors_1, vectors_2)]
    ours = loss_by_loop(*projected, *about, temperature)
assert_close(torch.stack(ours), torch.stack(theirs[1:]))
print(
    f"units in view 1 {batch.sizes_1.tolist()}, in view 2 {batch.sizes_2.tolist()}: "
    f"attraction {ours[0]:.2f}, repulsion {ours[1]:.2f}, total {sum(ours):.2f}"
)

# %% tags=["slide"]
n = batch.sizes_1[0], batch.sizes_2[0]
nl.plots.method(
    "contrast",
    {"contrast": projected[0][: n[0]] @ projected[1][: n[1]].T},
    title="one population, untrained: all alike (simulated)",
)

# %% [markdown]
# All red, cosines near 1: an untrained network gives all units nearly the same vector, next to
# collapse. So attraction is low, repulsion high, and the total (4.2) near that of collapse. Two
# more numbers are logged, both on the encoder's vectors.
#
# [Retrieval](../docs/glossary.md#retrieval) accuracy: how often is a unit's [nearest
# neighbour](../docs/glossary.md#nearest-neighbour) in view 2, among all units of its population
# there, itself? Chance is one in $n_2$. In the three-unit example:


# %%
def found_again(view_1, view_2, ids_1, ids_2):
    """(Share of matched units that are their own nearest neighbour in view 2, chance);
    one population.
    """
    cosines = F.normalize(view_1, dim=1) @ F.normalize(view_2, dim=1).T  # (n1, n2)
    hits = [cosines[i].argmax().item() == j for i, j in matched_rows(ids_1, ids_2)]
    return sum(hits) / len(hits), 1 / len(ids_2)


print(found_again(view_1, view_2, ids_1, ids_2))

# %% [markdown]
# Over the populations of the batch, weighted by matched units, this is the module's number. It is
# above chance before any training, since random weights, too, pass on something of a unit's
# activity.

# %%
split = [
    x.split(sizes.tolist()) for x, sizes in zip((vectors_1, vectors_2, *about[:2]), 2 * about[2:])
]
by_population = [found_again(*population) for population in zip(*split)]
matched = torch.tensor([len(matched_rows(*names)) for names in zip(*split[2:])], dtype=torch.float)
# (2,) by matched units
mean = (torch.tensor(by_population) * matched[:, None]).sum(0) / matched.sum()
accuracy, chance = nl.retrieval_accuracy(vectors_1, vectors_2, *about)
assert_close(mean, torch.tensor([accuracy.item(), chance]))
print(f"untrained encoder: {accuracy:.0%} of the units found, {chance:.0%} by chance")

# %% [markdown]
# Is chance what random vectors reach? Two hundred draws of ten units each:

# %%
generator = torch.Generator().manual_seed(seed)
ten = torch.arange(10)
guesses = [
    found_again(*torch.randn(2, 10, 16, generator=generator), ten, ten)[0] for _ in range(200)
]
print(f"random vectors: {sum(guesses) / 200:.3f}; 1 / n2 = 0.1")
assert abs(sum(guesses) / 200 - 0.1) < 0.03

# %% [markdown]
# [RankMe](../docs/glossary.md#rankme) (Garrido et al. 2023): how many dimensions do the vectors
# use? Divide the singular values (how far the vectors spread in each of their main directions) by
# their sum to make shares $p_j$, and take the entropy $-\sum_j p_j \log p_j$. Its exponential is an
# *effective number*: of $k$ equal shares it makes $k$. By hand: singular values 3 and 1 are shares
# 0.75 and 0.25, entropy $-0.75\log 0.75 - 0.25 \log 0.25 = 0.562$, and $e^{0.562} = 1.75$
# dimensions.


# %%
def effective_dimensions(vectors):
    """exp(entropy of the normalised singular values) of vectors (U, D), from 1 to min(U, D) ->
    ().
    """
    singular = torch.linalg.svdvals(vectors)  # (min(U, D),)
    share = singular / singular.sum()
    return torch.exp(-torch.special.xlogy(share, share).sum())


examples = {
    "singular values 3 and 1": torch.diag(torch.tensor([3.0, 1.0])),
    "collapsed": torch.ones(24, 32),
    "8 at right angles": torch.eye(8, 32),
    "untrained encoder": vectors_1,
}
for name, vectors in examples.items():
    assert_close(effective_dimensions(vectors), nl.rank_me(vectors), atol=1e-3, rtol=1e-3)
    print(f"{name}: {effective_dimensions(vectors).item():.2f}")

# %% [markdown]
# RankMe doesn't subtract the mean, so vectors that share a large common part have a low RankMe.
# Judge it by its course during training; a fall towards 1 is the sign of collapse.
#
# ## 12 · Other objectives
#
# InfoNCE (van den Oord et al. 2018; section 6) is `objective="info-nce"` in a preset; exercise 4
# builds it.
#
# *VICReg* (Bardes et al. 2022), `objective="vicreg"`, has no negatives. It asks that the two
# vectors of a unit agree (printed as attraction), that every dimension varies over units by at
# least one standard deviation, and that dimensions don't repeat each other (together printed as
# repulsion). `12_what_it_learned` trains all three on the simulated animals.

# %%
from nuclr_lite.loss import VICReg

with torch.random.fork_rng(), torch.no_grad():
    torch.manual_seed(seed)
    parts = VICReg(preset.model.dim)(vectors_1, vectors_2, *about)
print({name: round(part.item(), 2) for name, part in parts._asdict().items()})

# %% [markdown]
# Totals of different objectives can't be compared. What they give to a decoder can.
#
# ## Exercises

# %% [markdown] tags=["exercise"]
# ### Exercise 1 (predict): one look-alike, fifty strangers
#
# A unit has one negative very near, at cosine 0.9, and fifty at cosine 0, all in the other view. At
# which of the temperatures 0.05, 0.2 and 1 do the fifty *together* push harder than the one?
#
# - `"a"`: at none of them;
# - `"b"`: only at 1;
# - `"c"`: at 0.2 and 1;
# - `"d"`: at all three.
#
# Section 3 has the formula.

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c", "d"), "prediction is one of the letters, as a string"
crowd = torch.cat([torch.tensor([0.9]), torch.zeros(50)]).requires_grad_()
pushes = {}
for tau in (0.05, 0.2, 1.0):
    (push,) = torch.autograd.grad((crowd / tau).logsumexp(0), crowd)
    pushes[tau] = push[0].item(), push[1:].sum().item()  # the near one, the fifty together
harder = tuple(tau for tau, (near, fifty) in pushes.items() if fifty > near)
measured = {(): "a", (1.0,): "b", (0.2, 1.0): "c", (0.05, 0.2, 1.0): "d"}[harder]
assert prediction == measured, "not so: compare exp(0.9 / temperature) with 50"
print(pd.DataFrame(pushes, ["the near one", "the fifty together"]).round(3))
print("exercise 1: right")

# %% [markdown] tags=["exercise"]
# ### Exercise 2 (predict): the same window twice
#
# Suppose someone forgets to draw a second view and gives the loss the same vectors twice, all units
# present. What happens?
#
# - `"a"`: the loss is 0; nothing is left to learn;
# - `"b"`: the attraction is 0, and the repulsion still has a value and a gradient;
# - `"c"`: the attraction is 0, and the repulsion has a value, but no gradient.
#
# What would an encoder learn that is trained so?

# %% jupyter={"source_hidden": true} tags=["solution"]
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% tags=["check"]
assert prediction in ("a", "b", "c"), "prediction is one of the letters, as a string"
vectors = torch.randn(24, 32, generator=torch.Generator().manual_seed(seed)).requires_grad_()
parts = bare_loss(temperature)(vectors, vectors, ids_24, ids_24, size_24, size_24)
(gradient,) = torch.autograd.grad(parts.total, vectors)
measured = "a" if parts.total.abs() < 1e-5 else "c" if gradient.abs().max() < 1e-6 else "b"
assert prediction == measured, (
    "not so: which of the two parts looks at units other than the pair itself?"
)
print(
    f"attraction {parts.attraction.item():.3f}, repulsion {parts.repulsion.item():.3f}, "
    f"largest gradient {gradient.abs().max().item():.4f}"
)
print(
    "exercise 2: right. Training would spread units by what tells them apart in one window, lasting"
    " or not."
)

# %% [markdown] tags=["exercise"]
# ### Exercise 3 (fill in): all units at once
#
# Get rid of the loop over units. For one population, make the matrix of what counts against each
# matched unit: a row a matched unit, a column for each unit of the other view, then one for each
# unit of its own view; similarities across views divided by the temperature, those within not;
# minus infinity where the column is the unit's own match or the unit itself ($e^{-\infty} = 0$).
# One log-sum-exp over the columns, less $\log(n_1 + n_2)$, then gives the repulsion. The picture
# below shows the matrix for seven units in the unit's own view and five in the other.


# %% jupyter={"source_hidden": true} tags=["solution"]
def similarity_to_negatives(own, other, rows_own, rows_other, temperature):
    """What counts against each matched unit.

    own (n1, D), other (n2, D): unit vectors; rows_own (M,), rows_other (M,) int64: where matched
    unit m lies in each. Returns (M, n2 + n1), the other view's columns first; -inf at the unit's
    own match and at itself.
    """
    ### BEGIN SOLUTION
    across = own[rows_own] @ other.T / temperature  # (M, n2)
    within = own[rows_own] @ own.T  # (M, n1)
    similarity = torch.cat([across, within], dim=1)  # (M, n2 + n1)
    forbidden = torch.zeros_like(similarity, dtype=torch.bool)
    m = torch.arange(len(rows_own))
    forbidden[m, rows_other] = True
    forbidden[m, len(other) + rows_own] = True
    return similarity.masked_fill(forbidden, -math.inf)
    ### END SOLUTION


# %% tags=["check"]
check_1, check_2, *names, _, _ = random_views([7], [5], 3, torch.Generator().manual_seed(seed + 1))
check_1, check_2 = (F.normalize(x.detach(), dim=1) for x in (check_1, check_2))
check_rows = torch.tensor(matched_rows(*names))  # (M, 2)
matrix = similarity_to_negatives(check_1, check_2, *check_rows.T, temperature)
assert matrix.shape == (
    5,
    12,
), f"the shape is {tuple(matrix.shape)}; expected (matched, other + own view) = (5, 12)"
assert (matrix == -math.inf).sum(1).tolist() == [2] * 5, (
    "a row has two forbidden columns: the match and itself"
)
forbidden = torch.stack([check_rows[:, 1], 5 + check_rows[:, 0]], dim=1).sort(dim=1).values
assert torch.equal((matrix == -math.inf).nonzero()[:, 1].view(5, 2), forbidden), (
    "-inf in the wrong columns: the other view's columns come first; rows_own and rows_other say"
    " which"
)
one_by_one = torch.stack(
    [repulsion_of_one(check_1, check_2, i, j, temperature) for i, j in check_rows.tolist()]
)
assert_close(
    matrix.logsumexp(1) - math.log(12),
    one_by_one,
    msg="a row differs from the loop: which similarities are divided by the temperature?",
)
back = similarity_to_negatives(check_2, check_1, *check_rows.T.flip(0), temperature).logsumexp(
    1
) - math.log(12)
module_says = bare_loss(temperature)(
    check_1, check_2, *names, torch.tensor([7]), torch.tensor([5])
).repulsion
assert_close((one_by_one.mean() + back.mean()) / 2, module_says)
print("exercise 3: right")

# %% tags=["target"]
nl.plots.negatives(
    matrix, n_other=5, title="What counts against each matched unit (random vectors)"
)

# %% [markdown] tags=["exercise"]
# ### Exercise 4 (extend): InfoNCE, and how far it is from ours
#
# Write the symmetric InfoNCE of one population: for each matched unit, the cross-entropy of picking
# its match among everybody but itself, in both views. The scores (logits) are those of exercise 3,
# but with the match left in. Take the mean over matched units, and over the two directions.
# `F.cross_entropy(logits, target)` does the softmax, the logarithm and the mean over rows; `target`
# (M,) is each match's column.
#
# It must have the gradient of `nl.ContrastiveLoss(decoupled=False)`. Its value differs by a number
# that depends only on the temperature and on $n_1$ and $n_2$. Work it out on paper from the
# equations of section 4, and write it as `info_nce_offset`.


# %% jupyter={"source_hidden": true} tags=["solution"]
def info_nce(z1, z2, rows_1, rows_2, temperature):
    """Symmetric InfoNCE, one population. z1 (n1, D), z2 (n2, D): unit vectors; rows_1, rows_2 (M,):
    matched -> ().
    """
    ### BEGIN SOLUTION
    directions = []
    for own, other, mine, match in ((z1, z2, rows_1, rows_2), (z2, z1, rows_2, rows_1)):
        # (M, n2 + n1)
        logits = torch.cat([own[mine] @ other.T / temperature, own[mine] @ own.T], dim=1)
        itself = torch.zeros_like(logits, dtype=torch.bool)
        itself[torch.arange(len(mine)), len(other) + mine] = True
        directions.append(F.cross_entropy(logits.masked_fill(itself, -math.inf), match))
    return sum(directions) / 2
    ### END SOLUTION


def info_nce_offset(n1, n2, temperature):
    """Total of ContrastiveLoss(decoupled=False) minus info_nce, for views of n1 and n2 units ->
    float.
    """
    ### BEGIN SOLUTION
    return 1 / temperature - math.log(n1 + n2)
    ### END SOLUTION


# %% tags=["check"]
for n1, n2, tau in ((7, 5, 0.2), (4, 9, 0.2), (7, 5, 0.5)):
    x1, x2, *names, sizes_1, sizes_2 = random_views(
        [n1], [n2], 8, torch.Generator().manual_seed(seed + 2)
    )
    check_rows = torch.tensor(matched_rows(*names))
    mine = info_nce(F.normalize(x1, dim=1), F.normalize(x2, dim=1), *check_rows.T, tau)
    reference = bare_loss(tau, decoupled=False)(x1, x2, *names, sizes_1, sizes_2).total
    gradients = [torch.autograd.grad(loss, (x1, x2)) for loss in (mine, reference)]
    assert_close(
        *gradients,
        atol=1e-5,
        rtol=1e-4,
        msg=(
            "the gradient differs: is the unit itself out, the match in, "
            "and the own view not divided by the temperature? "
            "Is target the match's column, the result the mean of both directions?"
        ),
    )
    offset = info_nce_offset(n1, n2, tau)
    assert abs((reference - mine).item() - offset) < 1e-4, (
        f"the offset is wrong for {n1} and {n2} units at {tau}"
    )
print("exercise 4: right")

# %% [markdown]
# Want more? Hard-negative weighting (Robinson et al. 2021) multiplies each negative's term by
# $e^{\beta \cos}$, normalised to a mean of 1. Which $\beta$ gives back our loss?
#
# ## What you should have seen
#
# Three units by hand: attraction 0.200, repulsion -0.222. A pull of $1/\tau = 5$ that doesn't fade,
# where InfoNCE with ten negatives has lost more than nine tenths of it near the goal. Collapse at
# 4.3 and perfection at about 0 for 24 units. Six free units that end 60° apart, at a loss of 0.90.

# %%
numbers = {"attraction by hand": (attraction, 0.2), "repulsion by hand": (repulsion, -0.2218)}
if temperature == 0.2:
    numbers |= {
        "decoupled pull near the goal": (
            pulls["decoupled, any number of negatives"][-1].item(),
            5.0,
        ),
        "InfoNCE pull near the goal, 10 negatives": (
            pulls["InfoNCE, 10 negatives"][-1].item(),
            0.33,
        ),
        "collapse, 24 units": (landmarks(24, temperature)["all vectors equal"], 4.283),
        "six units, sorted": (best_on_circle, 0.90),
    }
for name, (value, expected) in numbers.items():
    print(f"{name}: {value:.3f}")
    assert abs(value - expected) < 0.02, f"{name} is {value:.3f}, expected about {expected}"

# %% [markdown]
# **Read** Arora et al. 2025 (arXiv 2512.01199), section 3.3: the objective. Yeh et al. 2022: why
# the match leaves the sum. van den Oord et al. 2018 (arXiv 1807.03748): InfoNCE. Chen et al. 2020
# (SimCLR): the projector. Wang and Isola 2020: attraction and repulsion, in theory. Wang and Liu
# 2021: temperature. Bardes et al. 2022 (arXiv 2105.04906): VICReg. Garrido et al. 2023: RankMe.
# Robinson et al. 2021: hard negatives.
#
# **Next:** `05_pretraining` puts views, encoder and objective together and follows these numbers
# through a training run.
