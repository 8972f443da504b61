// The network: embedding or one-hot input, recurrent layers, and the softmax, full or adaptive. See rnnlm/nn/network.py.

import { CELLS } from "./cells.js";

export class Network {
  /** config: the network's configuration in a checkpoint; matrices: its parameters by their names there. */
  constructor(config, matrices) {
    this.config = config;
    this.matrices = matrices;
    const layers = Array.from({ length: config.num_layers }, (_, layer) => layer);
    this.layers = layers.map((layer) => {
      const part = (name) => matrices[`rnn.${name}_l${layer}`];
      return { ih: part("weight_ih"), hh: part("weight_hh"), biasIh: part("bias_ih"), biasHh: part("bias_hh") };
    });
  }

  /** Reads an id and returns the new state, a list with the state of each layer. */
  step(id, state) {
    const { cell, activation, hidden_size: H, embedding_size: embedded } = this.config;
    let x = embedded ? this.matrices["embedding.weight"].row(id) : null;
    return this.layers.map(({ ih, hh, biasIh, biasHh }, layer) => {
      const input = Float64Array.from(biasIh.data);
      if (x) ih.addProduct(x, input);
      else ih.addColumn(id, input);
      const recurrent = hh && hh.addProduct(state[layer].h, Float64Array.from(biasHh.data));
      const after = CELLS[cell](input, recurrent, state[layer], H, activation);
      x = after.h;
      return after;
    });
  }

  /** Returns the log probabilities of all tokens after a state. */
  logProbabilities(state) {
    const { h } = state.at(-1);
    return this.config.output === "adaptive" ? this.#adaptive(h) : this.#full(h);
  }

  #full(h) {
    const weight = this.matrices[this.config.tied ? "embedding.weight" : "output.weight"];
    return logSoftmax(weight.addProduct(h, Float64Array.from(this.matrices["output.bias"].data)));
  }

  /** Computes the adaptive softmax: the head has the frequent tokens, and one entry for each tail of rare tokens. */
  #adaptive(h) {
    const { cutoffs, vocabulary_size: size } = this.config;
    const named = (name) => this.matrices[`output.${name}`];
    const head = logSoftmax(named("head.weight").addProduct(h, Float64Array.from(named("head.bias").data)));
    const found = new Float64Array(size);
    found.set(head.subarray(0, cutoffs[0]));
    cutoffs.forEach((start, tail) => {
      const [projection, weight] = [named(`tail.${tail}.0.weight`), named(`tail.${tail}.1.weight`)];
      const projected = projection.addProduct(h, new Float64Array(projection.rows));
      const own = logSoftmax(weight.addProduct(projected, new Float64Array(weight.rows)));
      own.forEach((each, place) => (found[start + place] = head[cutoffs[0] + tail] + each));
    });
    return found;
  }
}

/** Computes the log softmax x - log sum exp x, in place. */
function logSoftmax(x) {
  let most = -Infinity;
  for (const each of x) if (each > most) most = each;
  let sum = 0;
  for (const each of x) sum += Math.exp(each - most);
  const shift = most + Math.log(sum);
  for (let place = 0; place < x.length; place++) x[place] -= shift;
  return x;
}
