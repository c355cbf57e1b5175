"""What can be trained, by name: RECIPES[name]() gives a recipe. Importing this loads no torch."""

from collections.abc import Callable

from training.engine.recipes.avcanet import AVCANET_RECIPES
from training.engine.recipes.baselines import BASELINE_RECIPES
from training.engine.recipes.recipe import CHOICES, EMOTIONS, POLARITIES, POLARITY, Recipe, changes_of, from_dict, overridden

RECIPES: dict[str, Callable[[], Recipe]] = {**AVCANET_RECIPES, **BASELINE_RECIPES}

__all__ = ["CHOICES", "EMOTIONS", "POLARITIES", "POLARITY", "RECIPES", "Recipe", "changes_of", "from_dict", "overridden"]
