// What is said when a question is not answered, by the server or by a model in the page itself.

/**
 * A question that got no answer. kind: gone, slow, busy, key, strange, broken or server. The last has what the server
 * says: its sentence, in English, the code of the mistake, the field that it is about, and the values in the sentence.
 */
export class ServerError extends Error {
  constructor(kind, { message = "", code = "", param = "", details = {} } = {}, status = 0) {
    super(message);
    Object.assign(this, { kind, code, param, details, status });
  }
}
