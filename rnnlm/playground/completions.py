"""OpenAI's completions API, extended by top_k and repetition_penalty."""

import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlm.inference.generation import SamplingOptions, continuations
from rnnlm.inference.model import Array
from rnnlm.playground.refusals import RequestError
from rnnlm.playground.room import Json, Room
from rnnlm.playground.served import STEP, ServedModel, Work
from rnnlm.rendering import Rendering, Writer
from rnnlm.schema import ANYTHING, FLAG, Field, any_of, integer, list_of, number, object_of, only, text
from rnnlm.text.vocabulary import BOS, EOS, SPECIALS

LONGEST_PROMPT = 20_000  # characters or tokens
MOST_PROMPTS, MOST_TEXTS = 64, 128
PROBABILITIES = 1 << 23  # most numbers in one step of all the texts of a prompt
SEEDS = 1 << 63
# Fields of OpenAI's requests about the sender, billing or storage, which are ignored.
UNREAD = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
LEAST, LEAST_EACH = 12, 8  # fewest bytes of a token's entry in an answer, and of each further probability in it


def completion_fields(size: int) -> dict[str, Field]:
    """Return the fields of a request except the model; size: largest vocabulary size of the served models."""
    one, ids, stop = text(LONGEST_PROMPT), list_of(integer(0, size - 1), LONGEST_PROMPT, 1), text(1000, 1)
    prompt = any_of(one, list_of(one, MOST_PROMPTS, 1), ids, list_of(ids, MOST_PROMPTS, 1))
    neutral = only((0,), "this server has repetition_penalty in its place")
    suffix = only(("",), "a text is continued at its end; /api/fill fills blanks")
    options = {
        "include_usage": Field(FLAG, False),
        "include_obfuscation": Field(FLAG, False, "Nothing is added that blurs the length of what is sent."),
    }
    stream_options = object_of(options, "an object with include_usage, true or false")
    return {
        "prompt": Field(prompt, "", "One or several texts, or their ids as /tokenize gives them."),
        "max_tokens": Field(integer(0, 4096), 16, "New tokens at most."),
        "temperature": Field(number(0, 100), 1.0, "0 always takes the most probable."),
        "top_p": Field(number(0, 1, above=True), 1.0, "Only the most probable that together reach this."),
        "n": Field(integer(1, 16), 1, "Texts for each prompt."),
        "stop": Field(any_of(stop, list_of(stop, 16)), None, "Texts that end a completion."),
        "seed": Field(integer(-SEEDS, SEEDS - 1), None, "The same seed gives the same texts."),
        "logprobs": Field(integer(0, 20), None, "Log probabilities (nats) of the tokens and of so many others."),
        "echo": Field(FLAG, False, "Give the prompt back before its completion."),
        "stream": Field(FLAG, False, "Send the text as it is made, as server-sent events."),
        "stream_options": Field(stream_options, None, "include_usage: the last event tells the usage."),
        "top_k": Field(integer(0, 1 << 31), 0, "Only the k most probable; 0: all."),
        "repetition_penalty": Field(number(0, 100, above=True), 1.0, "Above 1: what was there is less likely."),
        "best_of": Field(integer(1, 16), None, "n, or nothing: texts are not made to be thrown away."),
        "suffix": Field(suffix, None),
        "presence_penalty": Field(neutral, 0),
        "frequency_penalty": Field(neutral, 0),
        "logit_bias": Field(only(({},), "single tokens cannot be preferred"), None),
        **{name: Field(ANYTHING, None, "Changes no answer.") for name in UNREAD},
    }


@dataclass(slots=True)  # there are many entries, and the garbage collector visits each
class Entry:
    """A token in an answer: where its text begins and ends, its log probability, and the most probable tokens."""

    token: str
    start: int
    end: int
    log_probability: float | None
    top: Json | None

    @property
    def size(self) -> int:
        """Approximate number of bytes in the answer."""
        return LEAST + 2 * len(self.token) + len(self.top or "")


@dataclass
class Choice:
    """A text that is being generated."""

    index: int
    writer: Writer
    position: int  # where the next token's text begins
    before: int  # the position at which `text` begins
    text: str = ""  # the part that is final
    entries: list[Entry] = field(default_factory=list)
    told: int = 0  # number of entries that were streamed
    tokens: int = 0
    finish_reason: str | None = None


class Completion:
    """A request for completions: `work` generates the answer, and `take` returns pieces of it for a stream."""

    def __init__(self, served: ServedModel, **arguments: Any) -> None:
        """Check the combination of the request's fields, which are the arguments.

        Raises:
            RequestError: Too much is requested, or a combination that is not supported.
            DirectionError: The model is bidirectional.
        """
        self.served, self.model, self.arguments = served, served.model, arguments
        self.model.require_causal()  # refuses a bidirectional model before the answer begins
        prompt, stop, self.logprobs = arguments["prompt"], arguments["stop"], arguments["logprobs"]
        self.prompts = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
        n, size = arguments["n"], served.size
        if arguments["best_of"] not in (None, n):
            message = f"best_of is {arguments['best_of']} and n {n}; expected equal ones, or no best_of."
            raise RequestError(message, code="wrong_value", param="best_of")
        if n * len(self.prompts) > MOST_TEXTS or n * size > max(PROBABILITIES, size):
            raise RequestError(
                f"{len(self.prompts):,} prompts with n {n} are more texts than are made at once with {size:,} tokens; "
                "ask for fewer.",
                code="too_many_texts",
            )
        rows = [each for each in self.prompts if not isinstance(each, str)]
        for ids in rows:
            served.check_ids(ids, "prompt")
        self.stop = [stop] if isinstance(stop, str) else stop or []
        self._room = Room()
        if arguments["echo"] and self.logprobs is not None:  # count the certain part of the size before any work
            Room().take(n * sum(map(len, rows)) * (LEAST + LEAST_EACH * min(size, self.logprobs)))
        self.choices: list[Choice] = []
        self.prompt_tokens = 0
        self._chunks: list[dict[str, Any]] = []
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": served.name,
        }

    # --- the answer ---------------------------------------------------------------------------------------------

    def take(self) -> list[dict[str, Any]]:
        """Return the new pieces of the answer for a stream, and forget them."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def _usage(self) -> dict[str, int]:
        """Return the field `usage`, the numbers of tokens."""
        read, made = self.prompt_tokens, sum(choice.tokens for choice in self.choices)
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def _choice(self, index: int, text: str, entries: list[Entry], finish_reason: str | None) -> dict[str, Any]:
        """Return a choice, or its new part, as JSON values."""
        logprobs = None
        if self.logprobs is not None:
            logprobs = {
                "tokens": [entry.token for entry in entries],
                "token_logprobs": [entry.log_probability for entry in entries],
                "top_logprobs": [entry.top for entry in entries],
                "text_offset": [entry.start for entry in entries],
            }
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}

    # --- work ---------------------------------------------------------------------------------------------------

    def work(self) -> Work[dict[str, Any]]:
        """Generate the completions, in steps; the result is the whole answer."""
        for place, prompt in enumerate(self.prompts):
            yield from self._complete(prompt, place * self.arguments["n"])
        if (self.arguments["stream_options"] or {}).get("include_usage"):
            self._chunks.append({**self._head, "choices": [], "usage": self._usage()})
        choices = [self._choice(each.index, each.text, each.entries, each.finish_reason) for each in self.choices]
        return {**self._head, "choices": choices, "usage": self._usage()}

    def _complete(self, prompt: str | list[int], index: int) -> Work[None]:
        served, n, echo = self.served, self.arguments["n"], self.arguments["echo"]
        ids = served.ids(prompt) if isinstance(prompt, str) else np.array(prompt, dtype=np.int32)
        text = prompt if isinstance(prompt, str) else (yield from served.render(prompt))
        self.prompt_tokens += len(ids)
        self._room.take(n * len(text) if echo else 0)
        entries = (yield from self._of_prompt(prompt, ids)) if echo and self.logprobs is not None else []
        choices = []
        for place in range(index, index + n):
            writer = Writer(self.model, text, ids, self.stop)
            choice = Choice(place, writer, len(text), 0 if echo else len(text), entries=[*entries])
            choices.append(choice)
            if not echo:
                writer.take()
            while echo and self._tell(choice):
                yield
        self.choices += choices
        if self.arguments["max_tokens"]:
            yield from self._write(choices, ids)
        for choice in choices:
            if choice.finish_reason is None:
                self._end(choice, "length")

    def _of_prompt(self, prompt: str | list[int], ids: Array) -> Work[list[Entry]]:
        """Compute the entries of a prompt's tokens; the first has no probability, as in OpenAI's API."""
        texts = [piece.text for piece in self.model.cut(prompt)] if isinstance(prompt, str) else None
        rendering = Rendering(self.model, like=prompt if isinstance(prompt, str) else "")
        entries, position = list[Entry](), 0
        given = int(ids[:1].tolist() == [BOS])  # <s> is read before every text, so skip one in the prompt
        rows = itertools.chain.from_iterable(rows for _, rows in self.model.distributions(ids[given:]))
        for place, token_id in enumerate(ids.tolist()):
            row = None if place < given else next(rows)
            text = rendering.piece(token_id) if texts is None else texts[place]
            shown = SPECIALS[BOS] if token_id == BOS else text
            own, top = None, None
            if place > 0 and row is not None:
                own, top = self._probabilities(row, token_id, shown, rendering.piece)
            entries.append(Entry(shown, position, position + len(text), own, top))
            self._room.take(self.arguments["n"] * entries[-1].size)
            position += len(text)
            rendering.add(token_id)
            if place % STEP == STEP - 1:
                yield
        return entries

    def _write(self, choices: list[Choice], ids: Array) -> Work[None]:
        arguments, model, seed = self.arguments, self.model, self.arguments["seed"]
        log_probabilities, state = yield from self.served.read(ids)
        names = ("max_tokens", "temperature", "top_k", "top_p", "repetition_penalty")
        options = SamplingOptions(*(arguments[name] for name in names))
        rng = np.random.default_rng(None if seed is None else seed % (2 * SEEDS))
        prefix, never, end = model.prefix(ids).tolist(), model.never_generated(), model.end
        for drawn, rows in continuations(
            model.by_line, prefix, log_probabilities, state, options, rng, len(choices), never, end
        ):
            for choice, token_id, row in zip(choices, drawn, rows, strict=True):
                if choice.finish_reason is None and token_id is not None:
                    self._add(choice, token_id, row)
            yield
            if all(choice.finish_reason for choice in choices):
                return

    def _add(self, choice: Choice, token_id: int, row: Array) -> None:
        """Add a new token to a text."""
        writer, ends = choice.writer, token_id == self.model.end
        text = SPECIALS[EOS] if ends else writer.piece(token_id)
        entry = None
        if self.logprobs is not None:  # before the token is written: its text depends on the tokens before it
            entry = Entry(text, choice.position, 0, *self._probabilities(row, token_id, text, writer.piece))
        written = writer.length
        writer.add(token_id)
        choice.tokens += 1
        choice.position += writer.length - written
        self._room.take(writer.length - written)
        if entry is not None:
            entry.end = choice.position
            choice.entries.append(entry)
            self._room.take(entry.size)
        if writer.ended:
            self._end(choice, "stop")
        else:
            self._tell(choice)

    def _probabilities(self, row: Array, token_id: int, text: str, piece: Callable[[int], str]) -> tuple[float, Json]:
        """Return the log probability of a token, and a JSON object of the most probable ones, including the token."""
        own, top = float(row[token_id]), dict[str, float]()
        k = min(self.logprobs, len(row))
        best = np.argpartition(-row, k - 1)[:k] if k else np.zeros(0, dtype=np.int64)
        for each in best[np.lexsort((best, -row[best]))]:
            shown = SPECIALS[each] if each in (BOS, self.model.end) else piece(int(each))
            top.setdefault(text if each == token_id else shown, float(row[each]))
        top.setdefault(text, own)
        return own, Json.of(top)

    def _end(self, choice: Choice, reason: str) -> None:
        choice.writer.finish()
        choice.finish_reason = reason
        length = choice.before + len(choice.text) + choice.writer.waiting
        choice.entries = [entry for entry in choice.entries if entry.start < length or entry.token == SPECIALS[EOS]]
        while self._tell(choice):
            pass

    def _tell(self, choice: Choice) -> bool:
        """Append new final text, and stream it with at most STEP entries; return whether more entries are waiting."""
        new = choice.writer.take()
        choice.text += new
        if not self.arguments["stream"]:
            return False
        length = choice.before + len(choice.text)
        entries = choice.entries[choice.told : choice.told + STEP]
        if choice.finish_reason is None:
            entries = list(itertools.takewhile(lambda entry: entry.end <= length, entries))
        choice.told += len(entries)
        more = len(entries) == STEP and choice.told < len(choice.entries)
        if new or entries or choice.finish_reason:
            told = self._choice(choice.index, new, entries, None if more else choice.finish_reason)
            self._chunks.append({**self._head, "choices": [told]})
        return more
