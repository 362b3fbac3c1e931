"""NuCLR in one file: which kind of neuron is each neuron, learned without labels.

Two windows of a recording, seconds apart, are two *views* of the same neurons. A transformer turns
a view into one vector per neuron. It is trained to make the two vectors of a neuron alike, and
unlike those of the other neurons recorded with it; nobody tells it what a cell type is. Afterwards
a plain classifier reads the cell type from the vectors, in animals that were never seen before.

    python notebooks/nuclr_in_one_file.py       # about a minute; no GPU, no download

The method: Arora et al. 2025, "Know Thyself by Knowing Others" (arXiv 2512.01199), section 3, whose
order this file keeps. The animals are *simulated*, so that the truth is known: they show that the
method does what it should, not how well it does it on a brain. Encoder and loss compute what those
of the module `nuclr_lite` do (a test compares them), without the module's options.

Letters in shapes: U units (neurons) of all populations, packed one population after the other;
N populations; L tokens in a window; P samples in a token; D width of the model; H attention heads,
each C wide; M units matched, that is, present in both views.
"""

import math
import time
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

# ---- Settings; in brackets the paper's for spikes, where they differ -----------------------------

SAMPLE_S = 0.02  # spikes are counted in bins of so many seconds
P, L = 50, 10  # a token is one second, a view ten
WINDOW = L * P  # samples in a view
REACH = round(5 / SAMPLE_S)  # [30 s] a second view starts within so many samples of its first

D, H, C = 32, 2, 16  # width, heads, width of a head [256, 4, 64]
TEMPORAL_BLOCKS, SPATIOTEMPORAL_BLOCKS = 1, 2  # [2, 2]
DROPOUT, TEMPERATURE = 0.0, 0.2  # [0.2, 0.2]; a training as short as this needs no dropout

STEPS, WARMUP_STEPS, BATCH_SIZE = 500, 40, 4  # [about 50,000; one epoch; 128 pairs of views]
LEARNING_RATE, WEIGHT_DECAY, LARGEST_GRADIENT = 4e-3, 0.01, 1.0  # [5e-4, 0.01, 1.0]
TRAINING_ANIMALS, NEW_ANIMALS = 14, 6
SEED = 0  # of everything that is drawn

# ---- 1. Simulated animals ------------------------------------------------------------------------
# All units of an animal listen to one shared signal, the ups and downs of the network around them.
# How they listen is their cell type: loosely or closely, at once or late, with it or against it.
# The rest of a unit's activity is a private signal with the same time course. So units of all types
# look the same when seen alone; only beside the others does a unit show what it is. (Knowing this,
# one could measure it by hand. The encoder isn't told, and must find out what is worth measuring.)

CELL_TYPES = {  # closeness to the shared signal, delay in seconds, sign, share of the units
    "Exc": (0.4, 0.0, +1, 0.4),
    "Pvalb": (0.95, 0.0, +1, 0.2),
    "Sst": (0.95, 0.5, +1, 0.2),
    "Vip": (0.9, 0.0, -1, 0.2),
}


class Animal(NamedTuple):
    counts: np.ndarray  # (units, samples) spike counts
    cell_type: np.ndarray  # (units,) the truth, for the classifier alone


def simulate_animal(rng: np.random.Generator, seconds: float = 600.0) -> Animal:
    n_units, n_samples = rng.integers(30, 47), round(seconds / SAMPLE_S)
    closeness, delay_s, sign, share = map(np.array, zip(*CELL_TYPES.values()))
    kind = rng.choice(len(CELL_TYPES), size=n_units, p=share)
    closeness = np.clip(closeness[kind] + 0.05 * rng.standard_normal(n_units), 0, 1)
    delay = np.round(delay_s[kind] / SAMPLE_S).astype(int)

    # Noise that is forgotten after `memory_s` (an Ornstein-Uhlenbeck process), of variance 1.
    # Column 0 is shared, the others are private. It begins early, for those that follow it late.
    memory_s = rng.uniform(0.3, 0.8)  # of the animal, not of the type
    kept = math.exp(-SAMPLE_S / memory_s)
    signals = rng.standard_normal((delay.max() + n_samples, 1 + n_units))
    for t in range(1, len(signals)):
        signals[t] = kept * signals[t - 1] + math.sqrt(1 - kept**2) * signals[t]
    starts = delay.max() - delay
    heard = np.stack([signals[start : start + n_samples, 0] for start in starts])
    private = signals[-n_samples:, 1:].T  # (units, samples), as is `heard`

    # The squares of the two weights add up to 1: so the sum has variance 1, whatever the type.
    drive = (sign[kind] * closeness)[:, None] * heard + np.sqrt(1 - closeness**2)[:, None] * private
    base_rate = np.exp(2.5 + 0.5 * rng.standard_normal((n_units, 1)))  # spikes per second
    rate = base_rate * np.exp(drive - 0.5)  # exp(drive - 1/2) is 1 on average
    return Animal(rng.poisson(rate * SAMPLE_S), np.array(list(CELL_TYPES))[kind])


# ---- 2. Views (section 3.1) ----------------------------------------------------------------------
def cut_view(animal: Animal, start: int) -> tuple[Tensor, Tensor]:
    """One window: tokens (units, L, P) of the units that spike in it, and which units these are."""
    # The paper also leaves out a random part of them; a training as short as ours does without.
    counts = torch.from_numpy(animal.counts[:, start : start + WINDOW]).float()
    ids = counts.any(dim=1).nonzero().squeeze(1)
    return counts[ids].unflatten(1, (L, P)), ids


def pack(views: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, list[int]]:
    """Populations one after the other: tokens (U, L, P), ids (U,), and the N sizes."""
    tokens, ids = zip(*views)
    return torch.cat(tokens), torch.cat(ids), [len(one) for one in ids]


def batches(animals: list[Animal], rng: np.random.Generator):
    """Epochs without end. First views tile the recordings; a second view lies near its first."""
    while True:
        pairs = []
        for animal in animals:
            last = animal.counts.shape[1] - WINDOW
            first = np.arange(rng.integers(WINDOW), last + 1, WINDOW)
            second = rng.integers(np.maximum(first - REACH, 0), np.minimum(first + REACH, last) + 1)
            pairs += [(animal, *starts) for starts in zip(first, second)]
        order = rng.permutation(len(pairs))
        for at in range(0, len(pairs) - BATCH_SIZE + 1, BATCH_SIZE):
            chosen = [pairs[i] for i in order[at : at + BATCH_SIZE]]
            views_1 = [cut_view(animal, first) for animal, first, _ in chosen]
            views_2 = [cut_view(animal, second) for animal, _, second in chosen]
            yield pack(views_1), pack(views_2)


# ---- 3. The encoder (section 3.2) ----------------------------------------------------------------
class Attention(nn.Module):
    """What both kinds of attention have: a norm, a layer to queries, keys and values, one back."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(D)
        self.qkv = nn.Linear(D, 3 * H * C)
        self.out = nn.Linear(H * C, D)


class TemporalAttention(Attention):
    """A unit attends over its own L tokens; it meets no other unit here.

    Position is told by turning (rotary attention): the C numbers of a head are taken as C/2 complex
    ones, and at token t each is multiplied by exp(i omega t). Queries, keys *and values* turn, and
    what was read turns back, so that only the distance between tokens matters. Half of the complex
    numbers turn, each with its own period, from 1 to 8 L tokens; the others ignore time.
    """

    def __init__(self):
        super().__init__()
        period = torch.logspace(0, math.log10(8 * L), round(C / 4), dtype=torch.float64)
        omega = torch.cat([2 * math.pi / period, torch.zeros(C // 2 - len(period))])
        angle = torch.arange(L)[:, None] * omega  # (L, C/2)
        self.turn = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)

    def forward(self, x: Tensor, sizes: list[int]) -> Tensor:
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, H, C))  # (U, L, D) -> (U, L, 3, H, C)
        q, k, v = rotate(qkv.permute(2, 0, 3, 1, 4), self.turn)  # each (U, H, L, C)
        weight = (q @ k.mT / math.sqrt(C)).softmax(dim=-1)  # (U, H, L, L)
        read = rotate(weight @ v, self.turn.conj())  # (U, H, L, C)
        return self.out(read.transpose(1, 2).flatten(2))  # (U, L, H C) -> (U, L, D)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """x (..., L, C), the pairs of its last dimension multiplied by turn (L, C/2)."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))  # (..., L, C/2)
    return torch.view_as_real(pairs * turn).flatten(-2)  # (..., L, C)


class SpatialAttention(Attention):
    """A unit attends over the units of its own population, itself among them, at one token.

    There is no position here: shuffle the units, and their vectors are shuffled in the same way.
    """

    def forward(self, x: Tensor, sizes: list[int]) -> Tensor:
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, H, C))  # (U, L, D) -> (U, L, 3, H, C)
        qkv = qkv.permute(2, 1, 3, 0, 4)  # (3, L, H, U, C)
        # softmax(q k / sqrt(C)) v as above, one population at a time; for a GPU one would pad them.
        read = [F.scaled_dot_product_attention(*one) for one in qkv.split(sizes, dim=3)]
        read = torch.cat(read, dim=2)  # (L, H, U, C)
        return self.out(read.permute(2, 0, 1, 3).flatten(2))  # (U, L, H C) -> (U, L, D)


class FeedForward(nn.Module):
    """GEGLU: one half of a widened layer is the value, the other half gates it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(D)
        self.widen = nn.Linear(D, 2 * 4 * D)
        self.narrow = nn.Linear(4 * D, D)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.widen(self.norm(x)).chunk(2, dim=-1)  # each (U, L, 4 D)
        return self.narrow(self.dropout(value * F.gelu(gate)))  # (U, L, D)


class Block(nn.Module):
    """Attention, then a feed-forward layer; each reads x through its norm and adds to x."""

    def __init__(self, attention: Attention):
        super().__init__()
        self.attention = attention
        self.feed_forward = FeedForward()
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, sizes: list[int]) -> Tensor:
        x = x + self.dropout(self.attention(x, sizes))
        return x + self.dropout(self.feed_forward(x))


class NuCLR(nn.Module):
    """Tokens (U, L, P) and the N sizes of the populations -> one vector per unit, (U, D)."""

    def __init__(self):
        super().__init__()
        self.read_in = nn.Linear(P, D)
        self.temporal = nn.ModuleList(Block(TemporalAttention()) for _ in range(TEMPORAL_BLOCKS))
        self.spatiotemporal = nn.ModuleList()
        for _ in range(SPATIOTEMPORAL_BLOCKS):
            halves = {"spatial": Block(SpatialAttention()), "temporal": Block(TemporalAttention())}
            self.spatiotemporal.append(nn.ModuleDict(halves))

    def forward(self, tokens: Tensor, sizes: list[int]) -> Tensor:
        x = self.read_in(tokens)  # (U, L, P) -> (U, L, D)
        for block in self.temporal:
            x = block(x, sizes)
        for block in self.spatiotemporal:
            x = block["spatial"](x, sizes)  # what are the others doing at this moment?
            x = block["temporal"](x, sizes)  # what came before and after?
        return x.mean(dim=1)  # (U, D)


# ---- 4. The loss (section 3.3) -------------------------------------------------------------------
class ContrastiveLoss(nn.Module):
    """Be close to yourself in the other view, and far from everybody else in your population.

    "Decoupled": the matching pair is not among the similarities that are pushed down.
    """

    def __init__(self):
        super().__init__()
        # For training only: an embedding is what comes before it.
        self.projector = nn.Sequential(nn.LayerNorm(D), nn.Linear(D, D), nn.ReLU(), nn.Linear(D, D))

    def forward(self, vectors_1, vectors_2, ids_1, ids_2, sizes_1, sizes_2):
        """Attraction and repulsion; their sum is the loss. Vectors (U, D), ids (U,), N sizes."""
        z_1 = F.normalize(self.projector(vectors_1), dim=-1).split(sizes_1)
        z_2 = F.normalize(self.projector(vectors_2), dim=-1).split(sizes_2)
        attraction, repulsion = [], []
        for a, b, id_a, id_b in zip(z_1, z_2, ids_1.split(sizes_1), ids_2.split(sizes_2)):
            i, j = (id_a[:, None] == id_b).nonzero(as_tuple=True)  # (M,) row i of a is row j of b
            attraction.append((1 - (a[i] * b[j]).sum(dim=-1)) / TEMPERATURE)
            repulsion.append((crowding(a, b, i, j) + crowding(b, a, j, i)) / 2)
        # A mean over units, not over populations: a large population counts for more.
        return torch.cat(attraction).mean(), torch.cat(repulsion).mean()


def crowding(own: Tensor, other: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """(M,) how closely a view's units `i` are surrounded; `j` are the same units in the other."""
    n = len(own) + len(other)
    if n == 2:  # one unit, twice: there is nobody to be far from
        return own.new_zeros(len(i))
    across = own[i] @ other.T / TEMPERATURE  # (M, units of the other view)
    within = own[i] @ own.T  # not divided: so in the authors' code, unlike in the textbook
    similarity = torch.cat([across, within], dim=1)  # (M, n)
    m = torch.arange(len(i))
    similarity[m, j] = -torch.inf  # oneself in the other view
    similarity[m, len(other) + i] = -torch.inf  # oneself
    return similarity.logsumexp(dim=1) - math.log(n)


# ---- 5. Training: no label in sight --------------------------------------------------------------
def train(encoder: NuCLR, loss: ContrastiveLoss, animals: list[Animal], rng: np.random.Generator):
    def factor(step: int) -> float:  # a line up, then a cosine down to 0
        done = max(0, step - WARMUP_STEPS) / (STEPS - WARMUP_STEPS)
        return min((step + 1) / WARMUP_STEPS, (1 + math.cos(math.pi * done)) / 2)

    parameters = [*encoder.parameters(), *loss.parameters()]
    matrices, vectors = ([p for p in parameters if p.ndim == ndim] for ndim in (2, 1))
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]  # norms and biases
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    encoder.train()
    for step, (view_1, view_2) in zip(range(1, STEPS + 1), batches(animals, rng)):
        (tokens_1, ids_1, sizes_1), (tokens_2, ids_2, sizes_2) = view_1, view_2
        vectors_1, vectors_2 = encoder(tokens_1, sizes_1), encoder(tokens_2, sizes_2)
        attraction, repulsion = loss(vectors_1, vectors_2, ids_1, ids_2, sizes_1, sizes_2)
        optimizer.zero_grad()
        (attraction + repulsion).backward()
        for module in (encoder, loss):
            nn.utils.clip_grad_norm_(module.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"  step {step}/{STEPS}: attraction {attraction:.2f}, repulsion {repulsion:.2f}")


# ---- 6. Embedding (section 3.4) ------------------------------------------------------------------
@torch.no_grad()
def embed(encoder: NuCLR, animal: Animal) -> np.ndarray:
    """(units, D): a unit's mean vector over all windows, end to end, in which it is present."""
    encoder.eval()
    n_units, n_samples = animal.counts.shape
    total, present = np.zeros((n_units, D)), np.zeros((n_units, 1))
    for start in range(0, n_samples - WINDOW + 1, WINDOW):
        tokens, ids = cut_view(animal, start)
        total[ids] += encoder(tokens, [len(ids)]).numpy()
        present[ids] += 1
    return total / present


# ---- 7. Zero-shot decoding: cell types of animals that are new to encoder and classifier ---------
def activity_alone(animal: Animal) -> np.ndarray:
    """(units, 21) made by hand from each unit alone: log rate, autocorrelation from 0.1 to 2 s."""
    counts = animal.counts.reshape(len(animal.counts), -1, 5).sum(axis=2)  # in bins of 0.1 s
    z = (counts - counts.mean(axis=1, keepdims=True)) / counts.std(axis=1, keepdims=True)
    autocorrelation = [(z[:, lag:] * z[:, :-lag]).mean(axis=1) for lag in range(1, 21)]
    return np.stack([np.log(counts.mean(axis=1)), *autocorrelation], axis=1)


def main():
    torch.set_num_threads(1)  # for a model so small, threads that wait for each other cost more
    started, rng, n = time.perf_counter(), np.random.default_rng(SEED), TRAINING_ANIMALS
    print(f"Simulating {n} animals to learn from and {NEW_ANIMALS} new ones")
    animals = [simulate_animal(rng) for _ in range(n + NEW_ANIMALS)]
    features = {"simple feature of a unit alone": [activity_alone(animal) for animal in animals]}
    with torch.random.fork_rng():  # torch draws weights and dropout from a global generator
        torch.manual_seed(SEED)
        encoder, loss = NuCLR(), ContrastiveLoss()
        features["untrained encoder"] = [embed(encoder, animal) for animal in animals]
        train(encoder, loss, animals[:n], rng)
        features["trained encoder"] = [embed(encoder, animal) for animal in animals]

    known = np.concatenate([animal.cell_type for animal in animals[:n]])
    truth = np.concatenate([animal.cell_type for animal in animals[n:]])
    predicted = {"chance": [rng.choice(list(CELL_TYPES), len(truth)) for _ in range(100)]}
    for name, one in features.items():
        classifier = LogisticRegression(class_weight="balanced", max_iter=2000)
        classifier = make_pipeline(StandardScaler(), classifier)
        classifier.fit(np.concatenate(one[:n]), known)
        predicted[name] = [classifier.predict(np.concatenate(one[n:]))]
    print(f"Inductive zero-shot, {NEW_ANIMALS} new simulated animals, {len(truth)} units:")
    for name, guesses in predicted.items():
        score = np.mean([f1_score(truth, guess, average="macro") for guess in guesses])
        print(f"  macro F1 of cell type, {name}: {score:.2f}")
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
