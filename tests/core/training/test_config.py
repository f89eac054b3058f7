import inspect
from pathlib import Path

import pytest

from eufcc_cli.commands.train import command
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.settings import settings_of
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.settings_file import read_settings


def test_the_command_has_every_setting_with_the_same_default() -> None:
    options = inspect.signature(command).parameters
    for name, declared in TrainConfig.settings().items():
        assert options[name].default == declared.default
    assert options.keys() - TrainConfig.settings().keys() == {
        "ctx", "name", "config", "resume", "overwrite", "export", "seeds", "track", "photos", "plugin",
        "decisions",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("method", "magic", "no such method"),
        ("epochs", 0, "above 0"),
        ("lr", -1.0, "above 0"),
        ("dropout", 1.0, "[0, 1)"),
        ("layer_decay", 0.0, "(0, 1]"),
        ("weight_decay", -0.1, "negative"),
        ("accumulate", 3, "does not divide"),
        ("precision", "int8", "no such choice"),
        ("seed", -1, "negative"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(setting: str, value: object, word: str) -> None:
    with pytest.raises(ModelError) as caught:
        TrainConfig(**{setting: value})  # type: ignore[arg-type]
    assert f"`{setting}`" in str(caught.value)
    assert word in str(caught.value)


def test_settings_come_from_toml_with_dashes_or_underscores(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('method = "softmax"\nbatch-size = 8\nlr = 1\ntime_budget = 2.5\n')
    config = TrainConfig.from_mapping(read_settings(file), str(file))
    assert (config.method, config.batch_size, config.lr, config.time_budget) == ("softmax", 8, 1.0, 2.5)


@pytest.mark.parametrize(
    ("text", "word"),
    [("epoch = 3", "unknown setting epoch"), ("epochs = 'x'", "epochs = 'x'"), ("epochs = ", "recipe.toml")],
)
def test_a_settings_file_that_is_wrong_is_named(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ModelError, match=r"recipe\.toml") as caught:
        TrainConfig.from_mapping(read_settings(file), str(file))
    assert word in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["[]", '{"training": []}', "3"])
def test_json_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match="holds no settings"):
        read_settings(tmp_path)


@pytest.mark.parametrize("name", METHODS)
def test_an_option_of_another_method_is_refused(name: str) -> None:
    owned = {"stop": True, "gamma_pos": 1.0, "gamma_neg": 3.0, "asl_clip": 0.1, "lock_text": True}
    for option, value in owned.items():
        if option in settings_of(METHODS[name]):
            config = TrainConfig.from_mapping({"method": name, option: value}, "settings")
            assert getattr(config.own_method(), option) == config.to_mapping()[option] == value
        else:
            with pytest.raises(ModelError, match=f"`{option}`: not an option of {name}"):
                TrainConfig.from_mapping({"method": name, option: value}, "settings")


@pytest.mark.parametrize("values", [{"lr": float("nan")}, {"weight_decay": float("inf")}, {"seed": -1}])
def test_numbers_that_are_none_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="must"):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_defaults_that_depend_on_others() -> None:
    assert TrainConfig().resolved().optimizer == "adamw"
    scratch = TrainConfig(pretrained=False, time_budget=5).resolved()
    assert (scratch.optimizer, scratch.lr, scratch.epochs) == ("muon", 5e-3, None)
    assert TrainConfig(weights="w.safetensors", pretrained=False).resolved().lr == 3e-4


@pytest.mark.parametrize("name", METHODS)
def test_what_follows_from_settings_are_settings_again(name: str) -> None:
    resolved = TrainConfig(method=name).resolved()
    assert TrainConfig.from_mapping(resolved.to_mapping(), "settings").resolved() == resolved
