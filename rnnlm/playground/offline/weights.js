// The parameters of a model, as rnnlm/playground/standalone.py packs them into the page: integers of 16 or 8 bits with
// a scale for each row, and floats. All become floats of 32 bits.

/** A matrix in row-major order; a vector has one column. */
class Matrix {
  constructor(data, rows, columns) {
    Object.assign(this, { data, rows, columns });
  }

  /** Adds the product with a vector x to the vector `sum`. */
  addProduct(x, sum) {
    const { data, rows, columns } = this;
    for (let row = 0, place = 0; row < rows; row++) {
      let total = 0;
      for (let column = 0; column < columns; column++, place++) total += data[place] * x[column];
      sum[row] += total;
    }
    return sum;
  }

  /** Adds a column, which is the product with a one-hot vector, to the vector `sum`. */
  addColumn(column, sum) {
    for (let row = 0; row < this.rows; row++) sum[row] += this.data[row * this.columns + column];
    return sum;
  }

  row(row) {
    return this.data.subarray(row * this.columns, (row + 1) * this.columns);
  }
}

/** Returns the matrices by their names. described: [{name, shape, type, offset}], with offsets in the decoded bytes. */
export function unpack(base64, described) {
  const bytes = decode(base64).buffer;
  const matrices = {};
  for (const { name, shape, type, offset } of described) {
    const [rows, columns = 1] = shape;
    matrices[name] = new Matrix(READERS[type](bytes, offset, rows, columns), rows, columns);
  }
  return matrices;
}

const READERS = {
  float32: (bytes, offset, rows, columns) => new Float32Array(bytes, offset, rows * columns),
  int16: (...place) => scaled(Int16Array, ...place),
  int8: (...place) => scaled(Int8Array, ...place),
};

/** Returns integers times the scale of their row; the scales come before the integers. */
function scaled(Numbers, bytes, offset, rows, columns) {
  const scales = new Float32Array(bytes, offset, rows);
  const numbers = new Numbers(bytes, offset + scales.byteLength, rows * columns);
  return Float32Array.from(numbers, (number, place) => number * scales[Math.floor(place / columns)]);
}

function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
  return bytes;
}
