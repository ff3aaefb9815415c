# SPDX-License-Identifier: MIT
# Types of the layers for torch.
from typing import Any

import torch

from . import Connection

class Linear(torch.nn.Linear):
    def __init__(self, connection: Connection, in_features: int,
                 out_features: int, bias: bool = True,
                 dtype: Any = None) -> None: ...
    def train(self, mode: bool = True) -> Linear: ...
    def forward(self, x: torch.Tensor) -> torch.Tensor: ...

def linear(connection: Connection, in_features: int | torch.nn.Linear,
           out_features: int | None = None, bias: bool = True,
           dtype: Any = None) -> Linear: ...
def matmul(connection: Connection, a: torch.Tensor,
           b: torch.Tensor) -> torch.Tensor: ...
