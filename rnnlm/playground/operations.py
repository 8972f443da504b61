"""What can be asked over HTTP: every operation with the fields of its request, in one table.

The routes of the server and the OpenAPI document are both made of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnnlm.blanks import BLANK_MARK
from rnnlm.playground import neurons
from rnnlm.playground.completions import Completion, completion_fields
from rnnlm.playground.fields import Field, Fields, Flag, Integer, ListOf, RequestError, Schema, Text
from rnnlm.playground.served import ServedModel, Work
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS

LONGEST = 20_000  # characters of a text
LONGEST_FILLED = 1000
MOST_LINES, LONGEST_LINE = 200, 2000
LONGEST_NAME = 200
BLANK = rf"^[^\r\n]*({BLANK_MARK.pattern})[^\r\n]*$"


class Models:
    """The models that are served; the first is meant where none is named."""

    def __init__(self, models: list[ServedModel]) -> None:
        """Serve at least one."""
        self.all = {model.name: model for model in models}

    @property
    def first(self) -> ServedModel:
        """The model that is meant where none is named."""
        return next(iter(self.all.values()))

    @property
    def largest(self) -> int:
        """Number of ids of the model that has the most; each model refuses those that it lacks."""
        return max(model.size for model in self.all.values())

    def named(self, name: str | None) -> ServedModel:
        """The model of a name.

        Raises:
            RequestError: there is none.
        """
        if name is None:
            return self.first
        if name not in self.all:
            raise RequestError(
                f"There is no model {name[:60]!r}; served are {', '.join(self.all)}.",
                404,
                "not_found_error",
                code="model_not_found",
                param="model",
                model=name[:60],
            )
        return self.all[name]


@dataclass(frozen=True)
class ModelName:
    """The name of a model that is served."""

    models: Models

    @property
    def expected(self) -> str:
        """What it is."""
        return f"one of {', '.join(self.models.all)}"

    def schema(self) -> Schema:
        """As a JSON schema."""
        return {"type": "string", "enum": list(self.models.all)}

    def read(self, value: Any, name: str) -> str:
        """The name."""
        return self.models.named(Text(LONGEST_NAME).read(value, name)).name


def _model_field(models: Models) -> Field:
    return Field(ModelName(models), None, "One of /v1/models; the first where it is left out.")


@dataclass(frozen=True)
class Operation:
    """A request that gets an answer.

    answer: called with the models and the fields' values; a GET's is at hand, a POST's is work. is_long: whether it
    may take more than a moment.
    """

    method: str
    path: str
    says: str
    answer: Callable[[Models, dict[str, Any]], Any]
    fields: Fields | None = None
    is_long: bool = False


def operations(models: Models) -> list[Operation]:
    """All of them but the page, the document and the completions, which may be streams."""
    model = _model_field(models)
    text = Field(Text(LONGEST), says="The text so far.")

    def ask(function: Callable[..., Work[Any]]) -> Callable[[Models, dict[str, Any]], Work[Any]]:
        def answer(models: Models, values: dict[str, Any]) -> Work[Any]:
            return function(models.named(values.pop("model")), **values)

        return answer

    def k(default: int) -> Field:
        return Field(Integer(1, 100), default, "Number of candidates.")

    layer, unit = Field(Integer(0, 1 << 31)), Field(Integer(0, 1 << 31))
    lines = Field(ListOf(Text(LONGEST_LINE), MOST_LINES, 1), says="The lines to compare.")
    blank = Field(Text(LONGEST_FILLED, 1, BLANK), says="One line with a blank, written ____.")
    special = Field(Flag(), None, "Nothing is ever added.")
    return [
        Operation("GET", "/healthz", "Whether the server is there.", lambda models, values: {"status": "ok"}),
        Operation("GET", "/v1/models", "The models.", _list),
        Operation("GET", "/tokenizer_info", "The names of the special tokens, for harnesses.", _tokenizer_info),
        Operation(
            "POST", "/tokenize", "Ids of a text.", ask(_tokenize),
            Fields({"model": model, "prompt": Field(Text(LONGEST)), "add_special_tokens": special}),
        ),
        Operation(
            "POST", "/detokenize", "Text of ids.", ask(_detokenize),
            Fields({"model": model, "tokens": Field(ListOf(Integer(0, models.largest - 1), LONGEST))}),
        ),
        Operation(
            "POST", "/api/predict", "What may come next, ranked.", ask(ServedModel.predict),
            Fields({"model": model, "text": text, "k": k(10)}),
        ),
        Operation(
            "POST", "/api/surprise", "Surprise at every token of a text.", ask(ServedModel.surprise),
            Fields({"model": model, "text": text, "k": Field(Integer(1, 20), 5, "Number of alternatives.")}), True,
        ),
        Operation(
            "POST", "/api/rank", "Lines, ranked by their probability.", ask(ServedModel.rank),
            Fields({"model": model, "candidates": lines}), True,
        ),
        Operation(
            "POST", "/api/fill", "What fits into the blanks of a line.", ask(ServedModel.fill),
            Fields({"model": model, "text": blank, "k": k(10)}), True,
        ),
        Operation(
            "POST", "/api/neurons", "Hidden units that go with a property of the text.", ask(neurons.find),
            Fields({"model": model, "text": text}), True,
        ),
        Operation(
            "POST", "/api/activation", "Activation of a hidden unit over a text.", ask(neurons.show),
            Fields({"model": model, "text": text, "layer": layer, "unit": unit}), True,
        ),
    ]  # fmt: skip


def completions(models: Models) -> Operation:
    """The operation whose answer may be a stream; its answer is a `Completion`."""
    fields = completion_fields(_model_field(models), models.largest)

    def answer(models: Models, values: dict[str, Any]) -> Completion:
        return Completion(models.named(values.pop("model")), values)

    return Operation("POST", "/v1/completions", "Continue a text, as OpenAI does.", answer, fields, True)


def _list(models: Models, values: dict[str, Any]) -> dict[str, Any]:
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "rnnlm", **model.described()}
        for name, model in models.all.items()
    ]
    return {"object": "list", "data": data}


def _tokenizer_info(models: Models, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "tokenizer_class": f"rnnlm-{models.first.model.level}",
        "vocab_size": models.first.size,
        "bos_token": SPECIALS[BOS],
        "eos_token": SPECIALS[EOS],
        "pad_token": None,
        "chat_template": None,
    }


def _tokenize(served: ServedModel, prompt: str, add_special_tokens: bool | None) -> Work[dict[str, Any]]:
    return served.tokenize(prompt)


def _detokenize(served: ServedModel, tokens: list[int]) -> Work[dict[str, Any]]:
    served.check_ids(tokens, "tokens")
    return served.detokenize(tokens)
