"""What the tests of the samplers share."""

from __future__ import annotations

import torch

# Small arrays: with two threads on a busy machine they take several times as long.
torch.set_num_threads(1)
