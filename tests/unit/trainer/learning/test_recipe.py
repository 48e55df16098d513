import pytest

from services.trainer.learning.domain.recipe import Recipe
from shared.errors import ConfigurationError


def test_options_change_the_defaults_by_name():
    assert Recipe.of({"epochs": 5}).epochs == 5
    assert Recipe.of({}) == Recipe()


@pytest.mark.parametrize("options", [{"epocs": 5}, {"epochs": 0}, {"learning_rate": float("nan")}])
def test_a_wrong_option_is_named(options):
    with pytest.raises(ConfigurationError, match=f"recipe: {next(iter(options))}"):
        Recipe.of(options)


def test_the_learning_rate_rises_then_falls_to_nothing():
    recipe = Recipe(learning_rate=1.0, warm_up=0.2)
    rates = [recipe.learning_rate_at(step, 10) for step in range(10)]
    assert rates.index(max(rates)) == 1
    assert rates[0] == 0.5
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
