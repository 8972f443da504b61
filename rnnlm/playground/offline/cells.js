// A step of each recurrent cell; the formulas are those of rnnlm/nn/cells. A state is {h} or {h, c}.

const LARGEST = 1e12; // bound on unbounded activations
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const ACTIVATIONS = {
  tanh: Math.tanh,
  sigmoid,
  relu: (x) => Math.min(Math.max(x, 0), LARGEST),
  identity: (x) => Math.max(Math.min(x, LARGEST), -LARGEST),
};

/** Functions (input, recurrent, before, H, activation) -> state; input is U x + b_ih, recurrent is W h + b_hh. */
export const CELLS = {
  /** h = f(a). */
  rnn(input, recurrent, before, H, activation) {
    return { h: vector(H, (j) => ACTIVATIONS[activation](input[j] + recurrent[j])) };
  },

  /** i, f, o = sigmoid(...), g = tanh(...); c = f c + i g; h = o tanh(c). */
  lstm(input, recurrent, before, H) {
    const a = (gate, j) => input[gate * H + j] + recurrent[gate * H + j];
    const c = vector(H, (j) => sigmoid(a(1, j)) * before.c[j] + sigmoid(a(0, j)) * Math.tanh(a(2, j)));
    return { h: vector(H, (j) => sigmoid(a(3, j)) * Math.tanh(c[j])), c };
  },

  /** f, o = sigmoid(...), g = tanh(...); c = g + f (c - g); h = o tanh(c). */
  cifg(input, recurrent, before, H) {
    const a = (gate, j) => input[gate * H + j] + recurrent[gate * H + j];
    const c = vector(H, (j) => {
      const g = Math.tanh(a(1, j));
      return g + sigmoid(a(0, j)) * (before.c[j] - g);
    });
    return { h: vector(H, (j) => sigmoid(a(2, j)) * Math.tanh(c[j])), c };
  },

  /** r, z = sigmoid(...); n = tanh(input + r recurrent); h = n + z (h - n). */
  gru(input, recurrent, before, H) {
    return {
      h: vector(H, (j) => {
        const r = sigmoid(input[j] + recurrent[j]);
        const z = sigmoid(input[H + j] + recurrent[H + j]);
        const n = Math.tanh(input[2 * H + j] + r * recurrent[2 * H + j]);
        return n + z * (before.h[j] - n);
      }),
    };
  },

  /** z = sigmoid(...), g = tanh(...) of the input alone; h = (1 - z) h + z g. */
  mingru(input, recurrent, before, H) {
    return {
      h: vector(H, (j) => {
        const z = sigmoid(input[j]);
        return (1 - z) * before.h[j] + z * Math.tanh(input[H + j]);
      }),
    };
  },
};

function vector(length, value) {
  const made = new Float32Array(length);
  for (let place = 0; place < length; place++) made[place] = value(place);
  return made;
}
