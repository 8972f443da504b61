"""The table of HTTP operations, with the fields of their requests.

The routes of the server and the OpenAPI document are both built from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnlm.blanks import BLANK_MARK
from rnnlm.playground import neurons
from rnnlm.playground.completions import Completion, completion_fields
from rnnlm.playground.refusals import RequestError
from rnnlm.playground.served import ServedModel
from rnnlm.schema import FLAG, Field, Kind, integer, list_of, object_of, text
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS

LONGEST = 20_000  # characters of a text
LONGEST_FILLED, MOST_FILLED = 1000, 8
MOST_LINES, LONGEST_LINE = 200, 2000
LONGEST_NAME, LONGEST_TOKEN = 200, 200
MOST_ALLOWED, MOST_AHEAD = 1000, 8
BLANK = rf"^[^\r\n]*({BLANK_MARK.pattern})[^\r\n]*$"
Models = Mapping[str, ServedModel]  # by their names; the first is the default


@dataclass(frozen=True)
class Operation:
    """An operation of the server.

    answer: Of a GET, a function without arguments that returns the answer. Of a POST, a function of the model and the
    fields' values that returns work, or a `Completion` to stream. is_long: Whether the work may take long.
    """

    method: str
    path: str
    says: str
    answer: Callable[..., Any]
    fields: Kind | None = None
    is_long: bool = False


def operations(models: Models) -> list[Operation]:
    """Return all operations, without the page and the OpenAPI document."""
    size = max(model.size for model in models.values())  # each model refuses the ids that it lacks
    first = next(iter(models.values()))
    model = Field(model_name(models), first, "One of /v1/models; the first where it is left out.")

    def post(path: str, says: str, answer: Callable[..., Any], is_long: bool = False, **fields: Field) -> Operation:
        return Operation("POST", path, says, answer, object_of({"model": model} | fields), is_long)

    so_far, prompt = Field(text(LONGEST), says="The text so far."), Field(text(LONGEST))
    k, place = Field(integer(1, 100), 10, "Number of candidates to show."), Field(integer(0, 1 << 31))
    prefix = Field(text(LONGEST_TOKEN), "", "The next token begins with it.")
    allowed = Field(list_of(text(LONGEST_TOKEN), MOST_ALLOWED), None, "The next token is one of these.")
    complete = Field(FLAG, False, "The last word may be half typed; probabilities are given what was typed.")
    ahead = Field(integer(1, MOST_AHEAD), 1, "Tokens of a continuation; above 1, each has its tokens.")
    alternatives = Field(integer(1, 20), 5, "Number of alternatives.")
    lines = Field(list_of(text(LONGEST_LINE), MOST_LINES, 1), says="The lines to compare.")
    blank = Field(text(LONGEST_FILLED, 1, BLANK), says="One line with a blank, written ____.")
    most = Field(integer(1, MOST_FILLED), 1, "Most tokens for a blank; fewer where there are many blanks.")
    special, tokens = Field(FLAG, None, "Nothing is ever added."), Field(list_of(integer(0, size - 1), LONGEST))
    surprise, rank, fill = ServedModel.surprise, ServedModel.rank, ServedModel.fill
    listed, info = _listed(models), _tokenizer_info(first)
    return [
        Operation("GET", "/healthz", "Whether the server is there.", lambda: {"status": "ok"}),
        Operation("GET", "/v1/models", "The models.", lambda: listed),
        Operation("GET", "/tokenizer_info", "The names of the special tokens, for harnesses.", lambda: info),
        post("/tokenize", "Ids of a text.", ServedModel.tokenize, prompt=prompt, add_special_tokens=special),
        post("/detokenize", "Text of ids.", ServedModel.detokenize, tokens=tokens),
        post(
            "/api/predict", "What may come next, ranked.", ServedModel.predict,
            text=so_far, k=k, prefix=prefix, allowed=allowed, complete=complete, ahead=ahead,
        ),
        post("/api/surprise", "Surprise at every token of a text.", surprise, True, text=so_far, k=alternatives),
        post("/api/rank", "Lines, ranked by their probability.", rank, True, candidates=lines),
        post("/api/fill", "What fits into the blanks of a line.", fill, True, text=blank, k=k, blank_tokens=most),
        post("/api/neurons", "Hidden units that go with a property of the text.", neurons.find, True, text=so_far),
        post(
            "/api/activation", "Activation of a hidden unit over a text.", neurons.show, True,
            text=so_far, layer=place, unit=place,
        ),
        post("/api/activations", "Activations of all hidden units over a text.", neurons.show_all, True, text=so_far),
        post("/v1/completions", "Continue a text, as OpenAI does.", _complete, True, **completion_fields(size)),
    ]  # fmt: skip


def model_name(models: Models) -> Kind:
    """Return the kind of the field `model`, which reads the name of a served model."""
    named = text(LONGEST_NAME)

    def read(value: Any, name: str) -> ServedModel:
        """Return the model.

        Raises:
            RequestError: There is no model of that name.
        """
        if (found := named.read(value, name)) not in models:
            message = f"There is no model {found[:60]!r}; served are {', '.join(models)}."
            raise RequestError(message, 404, "not_found_error", code="model_not_found", param=name, model=found[:60])
        return models[found]

    return Kind(f"one of {', '.join(models)}", {"type": "string", "enum": list(models)}, read)


def _complete(served: ServedModel, **arguments: Any) -> Any:
    completion = Completion(served, **arguments)
    return completion if arguments["stream"] else completion.work()


def _listed(models: Models) -> dict[str, Any]:
    known = {"object": "model", "created": 0, "owned_by": "rnnlm"}
    return {"object": "list", "data": [{"id": name, **known, **model.described()} for name, model in models.items()]}


def _tokenizer_info(first: ServedModel) -> dict[str, Any]:
    return {
        "tokenizer_class": f"rnnlm-{first.model.level}",
        "vocab_size": first.size,
        "bos_token": SPECIALS[BOS],
        "eos_token": SPECIALS[EOS],
        "pad_token": None,
        "chat_template": None,
    }
