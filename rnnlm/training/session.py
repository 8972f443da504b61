"""A complete training: from a text, options and a machine to a model."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from rnnlm.baselines.ngram import NgramModel
from rnnlm.errors import CorpusError, TrainingError
from rnnlm.inference.line_starts import line_before
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.averaging import widened
from rnnlm.nn.bidirectional import AnyNetwork
from rnnlm.nn.coupling import as_lstm, without_input_gate
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.storage.atomic import not_written, replacing
from rnnlm.storage.checkpoint import section
from rnnlm.text.held_out import VERSION
from rnnlm.training.allocator import keep_freed_memory
from rnnlm.training.baselines import Baselines, measured_baselines, with_ngram
from rnnlm.training.dataset import Dataset, Reading, Sources, check_reading
from rnnlm.training.ensemble import AnyTrainer, EnsembleTrainer
from rnnlm.training.given_tokens import is_by_frequency
from rnnlm.training.machine import Machine
from rnnlm.training.new_network import build_network, random_network, seed_of
from rnnlm.training.options import Options, Recipe
from rnnlm.training.origin import Origin
from rnnlm.training.plan import TrainingConfig
from rnnlm.training.resolve import check_cell, check_input, check_output_layer, resolve
from rnnlm.training.trainer import Report, Trainer


@dataclass(frozen=True)
class Request:
    """A user's request for a training.

    Attributes:
        sources: The text.
        options: Options of the training.
        given: Options that the user gave, which must not contradict a checkpoint.
        origin: A checkpoint to resume or to start from.
        preset: Name of a model size.
        asked: Other settings of the command, to be recorded in the checkpoint.
    """

    sources: Sources
    options: Options = field(default_factory=Options)
    given: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    preset: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def resumed(self) -> Origin | None:
        """The checkpoint whose training is resumed, or None."""
        return self.origin if self.origin is not None and self.origin.resumed else None


class Checks(Protocol):
    """Checks of the caller, called as early as possible."""

    def check_dataset(self, dataset: Dataset) -> None:
        """Raise an error if the text is not acceptable."""

    def check_recipe(self, recipe: Recipe) -> None:
        """Raise an error if the recipe is not acceptable."""


@dataclass
class Session:
    """A training that is ready to run, and notes for the user."""

    dataset: Dataset
    recipe: Recipe
    model: LanguageModel
    config: NetworkConfig  # of each network that is trained
    trainer: AnyTrainer
    threads: int = 1
    ngram: NgramModel | None = None  # to mix with the trained network
    notes: list[str] = field(default_factory=list)

    @classmethod
    def prepare(
        cls,
        request: Request,
        machine: Machine,
        checks: Checks | None = None,
    ) -> Session:
        """Read the text, choose the open options, and build the network and its trainer.

        Raises:
            RnnlmError: a text, a checkpoint or a combination of options is not usable.
        """
        origin, resumed, options = request.origin, request.resumed, request.options
        if origin is not None:
            options = origin.adopted(options, request.given)
        dataset, options = _read(request, options, machine)
        changes = dataset.changes(resumed) if resumed else []
        if checks is not None:
            checks.check_dataset(dataset)
        baselines = None if machine.workers.rank else _baselines(dataset, options)
        keep_freed_memory()  # after reading the text, whose memory goes back to the system
        started_from = origin is not None and not resumed
        recipe = resolve(options, dataset, machine, started_from, request.preset)
        if checks is not None:
            checks.check_recipe(recipe)
        network, notes = build_network(recipe, dataset, origin.model if origin else None)
        if request.preset and resumed:
            notes.append(f"--preset {request.preset} is ignored: a resumed training keeps the sizes that it has.")
        kept = as_lstm(network) if recipe.coupled_gates else network
        model = LanguageModel(dataset.reading.tokenizer, dataset.vocabulary, kept, recipe.context)
        model.line_resets = recipe.line_resets > 0
        model.check_savable()
        trainer = _trainer(network, dataset, recipe, machine)
        if resumed:
            state = resumed.header["training"].get("state", {})
            best = without_input_gate(resumed.parameters) if recipe.coupled_gates else resumed.parameters
            trainer.load_state(state, resumed.arrays, best, bool(changes))
        model.training = {
            "options": recipe.to_header(),
            "corpus": dataset.to_header(),
            **({} if baselines is None else {"baselines": baselines.figures}),
            **_asked(request, bool(changes)),
        }
        ngram = None if baselines is None or recipe.ngram == 0 else baselines.ngram
        return cls(
            dataset, recipe, model, network.config, trainer, machine.threads, ngram, [*dataset.notes, *notes, *changes]
        )

    @property
    def valid_tokens(self) -> int:
        """Number of held-out tokens."""
        return 0 if self.dataset.valid is None else len(self.dataset.valid)

    def run(self) -> Generator[Report, None, None]:
        """Train to the end, yielding reports; the generator can be closed after any of them."""
        return self.trainer.run()

    def finish(self) -> LanguageModel:
        """Return the model with the best parameters so far, as `save` writes it at the end."""
        self.model.training_arrays = self._record_state()
        return self.take_best()

    def take_best(self, with_its_ngram: bool = True) -> LanguageModel:
        """Return the model with the best parameters so far, mixed with the n-gram model if that is better."""
        model, valid = self.model, self.dataset.valid
        model.predictor = self._best_network()
        for name in ("mixture", "averaged"):
            model.training.pop(name, None)
        if self.trainer.averaged > 1:
            model.training["averaged"] = self.trainer.averaged
        if with_its_ngram and self.ngram is not None and valid is not None:
            always = self.recipe.ngram is not None
            with suppress(MemoryError):  # then save the network alone
                if found := with_ngram(model.network, self.ngram, valid, model.context, self.threads, always):
                    model.predictor, model.training["mixture"] = found[0], {"nats_per_token": found[1]}
        return model

    def save(self, path: Path, at_the_end: bool = False) -> int:
        """Write the best parameters and the training state; return the step from which --resume would continue.

        at_the_end: mix with the n-gram model, for which the held-out part is read again.
        """
        arrays = self._record_state()
        self.take_best(at_the_end).save(path, arrays)
        return int(self.model.training["state"]["progress"]["step"])

    def _record_state(self) -> dict[str, Any]:
        """Record the training state in the model; return its arrays."""
        state, arrays = self.trainer.state()
        self.model.training["state"] = state
        self.model.training["best_nats_per_token"] = self.trainer.progress.best_nats_per_token
        self.model.line_before = self._line_before() if self.trainer.done() else []
        return arrays

    def _line_before(self) -> list[int]:
        """Return the line that a finished model of a stream reads before independent lines; empty if none."""
        model, text = self.model, self.dataset.train
        if model.context == "sentence" or model.line_resets or model.line_end is None:
            return []
        network = cast(Network, self._best_network())  # which is not bidirectional: that reads sentences
        return line_before(network, text, self.dataset.valid or text, model.line_end)

    def _best_network(self) -> AnyNetwork:
        trained = network_of(widened(self.config, self.trainer.averaged), self.trainer.best())
        return as_lstm(trained) if self.recipe.coupled_gates else trained

    def rescue(self, path: Path) -> tuple[Path, Path]:
        """Write the best parameters and the vocabulary if no checkpoint can be built; return both paths.

        Raises:
            SavingError: the files cannot be written.
        """
        weights, vocabulary = path.with_suffix(".weights.npz"), path.with_suffix(".vocabulary.json")
        tokens = [self.model.vocabulary.token(each) for each in range(len(self.model.vocabulary))]
        try:
            with replacing(weights) as file:
                np.savez(file, allow_pickle=False, **self._best_network().params)
            with replacing(vocabulary) as file:
                file.write(json.dumps(tokens, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise not_written(weights, error) from error
        return weights, vocabulary


def _read(request: Request, options: Options, machine: Machine) -> tuple[Dataset, Options]:
    """Return the text, and the options completed with level and context."""
    origin, workers = request.origin, machine.workers
    if workers.size > 1 and request.sources.standard_input:
        raise CorpusError("Standard input can be read by one process only; give several workers the text as a file.")
    reading = Reading.of(options, origin)
    options = replace(options, level=reading.tokenizer.name)
    if not reading.asks_text:
        check_reading(options, reading.context)
    check_cell(options)
    check_input(options)
    check_output_layer(options)
    with workers.first_of_machine_first():  # the others then find the ids in the cache
        version = request.resumed.split_version if request.resumed else VERSION
        vocabulary = origin.fixed_vocabulary if origin is not None else None
        dataset = Dataset.read(request.sources, options, reading, machine.threads, vocabulary, version)
    if reading.asks_text:
        check_reading(options, dataset.reading.context)
    if origin is not None:
        origin.check_vocabulary(dataset.vocabulary)
    if options.softmax == "auto" and not is_by_frequency(dataset.vocabulary):
        options = replace(options, softmax="full")
    return dataset, replace(options, context=dataset.reading.context)


def _baselines(dataset: Dataset, options: Options) -> Baselines | None:
    """Return the baselines on the held-out part; None if nothing is held out, or for a bidirectional network."""
    if dataset.valid is None or options.bidirectional:
        if options.ngram:
            why = "it predicts from both sides" if options.bidirectional else "nothing is held out to find its weight"
            raise TrainingError(f"--ngram {options.ngram} cannot be mixed with the network: {why}. Leave it out.")
        return None
    try:
        return measured_baselines(dataset, options.time or math.inf, options.ngram)
    except MemoryError:  # the training can do without them
        return None


def _asked(request: Request, text_changed: bool) -> dict[str, Any]:
    """Return the record of the command; for a resumed training, the record in its checkpoint."""
    asked = dict(request.asked)
    if request.resumed:
        asked = section(request.resumed.header, "training", "asked")
        asked = asked | ({"changed_text": True} if text_changed else {})
    return {"asked": asked} if asked else {}


def _trainer(network: AnyNetwork, dataset: Dataset, recipe: Recipe, machine: Machine) -> AnyTrainer:
    """Return what trains the network, or it and others after it."""
    if recipe.networks == 1:
        return _trainer_of_one(network, dataset, recipe, machine)

    def member(number: int) -> Trainer:
        own = replace(recipe, seed=seed_of(recipe.seed, number))
        new = random_network(network.config, own, dataset.counts) if number else network
        return _trainer_of_one(new, dataset, own, machine)

    def measure(average: AnyNetwork) -> float | None:
        if dataset.valid is None:
            return None
        found = machine.engine(average, recipe).evaluate(dataset.valid)
        assert found is not None  # nothing stops it
        return found[0] / found[1]

    return EnsembleTrainer(recipe.networks, network.config, member, measure)


def _trainer_of_one(network: AnyNetwork, dataset: Dataset, recipe: Recipe, machine: Machine) -> Trainer:
    engine, clock = machine.engine(network, recipe), None
    if machine.workers.size > 1 and recipe.time:
        from rnnlm.training.distributed import SharedClock

        clock = SharedClock(machine.workers)
    config = TrainingConfig(
        epochs=recipe.epochs or 0.0,
        seconds=(recipe.time or 0.0) / recipe.networks,
        lr=recipe.lr,
        schedule=recipe.schedule,
        warm_up=recipe.warm_up,
        patience=recipe.patience,
        seed=recipe.seed,
    )
    return Trainer(engine, machine.batches(dataset, recipe), dataset.valid, config, len(dataset.vocabulary), clock)
