// The error of a request to the server, or to a model in the page itself.

/**
 * A request that failed. kind: gone, slow, busy, key, strange, broken or server. The last has the server's error: its
 * message in English, the code, the field with the error, and the values in the message.
 */
export class ServerError extends Error {
  constructor(kind, { message = "", code = "", param = "", details = {} } = {}, status = 0) {
    super(message);
    Object.assign(this, { kind, code, param, details, status });
  }
}
