"""The optimiser and the learning rate of a recipe: AdamW with a cosine for AV-CANet, what its authors published for each baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import nn, optim

from training.engine.recipes import Recipe


def optimiser_of(net: nn.Module, recipe: Recipe, **options: Any) -> optim.Optimizer:
    """AdamW, Adam or SGD over the trained parameters; each group's lr_scale says how its rate stands to the recipe's."""
    groups = [{"params": params, "lr_scale": scale} for scale, params in _by_scale(net, recipe)]
    decay, betas = recipe.weight_decay, (recipe.betas[0], recipe.betas[1])
    if recipe.optimiser == "sgd":
        return optim.SGD(groups, recipe.lr, recipe.momentum, weight_decay=decay, **options)
    kind = optim.Adam if recipe.optimiser == "adam" else optim.AdamW
    return kind(groups, recipe.lr, betas, weight_decay=decay, **options)


def _by_scale(net: nn.Module, recipe: Recipe) -> Iterable[tuple[float, list[nn.Parameter]]]:
    """The trained parameters by the scale that lr_scales gives to the start of their names, 1 where it gives none."""
    scales = recipe.lr_scales
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    if idle := [prefix for prefix in scales if not any(name.startswith(prefix) for name in trained)]:
        raise ValueError(f"recipe {recipe.name}: lr_scales names {', '.join(idle)}, but no trained parameter of {recipe.network} starts so")
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        fitting = [prefix for prefix in scales if name.startswith(prefix)]
        found.setdefault(float(scales[max(fitting, key=len)]) if fitting else 1.0, []).append(parameter)
    return found.items()


def set_rate(optimiser: optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]


def learning_rate(step: int, num_steps: int, recipe: Recipe) -> float:
    """Linear over the first steps, then constant, in steps, or a cosine down to lr_floor (A1)."""
    warm = round(recipe.warmup * num_steps)
    if step < warm:
        return recipe.lr * (step + 1) / warm
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "steps":
        return recipe.lr * recipe.step_factor ** sum(step >= share * num_steps for share in recipe.step_at)
    along = (step - warm) / max(num_steps - warm - 1, 1)
    return recipe.lr * (recipe.lr_floor + (1 - recipe.lr_floor) * (1 + math.cos(math.pi * min(along, 1.0))) / 2)
