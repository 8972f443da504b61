// Questions to the server, and what is said when it does not answer them.

import { pause } from "./dom.js";

const LONGEST_ANSWER = 60_000; // milliseconds
const ATTEMPTS_WHEN_BUSY = 3;

/** A question that got no answer. kind: gone, busy, key, strange, broken or server; the last has the server's sentence. */
export class ServerError extends Error {
  constructor(kind, message = "", status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

let key = ""; // of a server that was started with --api-key

/** The key to show with every question from now on; it is forgotten with the page. */
export function useKey(given) {
  key = given;
}

/** The answer to a question: GET without a body, else POST. Throws a ServerError, or the signal's reason. */
export async function ask(path, body, signal) {
  const limit = AbortSignal.timeout(LONGEST_ANSWER);
  const response = await respond(path, body, signal ? AbortSignal.any([signal, limit]) : limit, signal);
  try {
    return await response.json();
  } catch {
    signal?.throwIfAborted();
    throw new ServerError("broken");
  }
}

/** The events of a streamed answer, one after the other as they arrive. */
export async function* stream(path, body, signal) {
  const response = await respond(path, { ...body, stream: true }, signal, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await next(reader, signal);
    if (done) throw new ServerError("broken"); // [DONE] never came
    waiting += value.replaceAll("\r", "");
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const data = dataOf(event);
      if (data === "[DONE]") return;
      if (data === "") continue; // a comment that keeps the connection open
      const answer = JSON.parse(data);
      if (answer.error) throw new ServerError("server", answer.error.message);
      yield answer;
    }
  }
}

async function next(reader, signal) {
  try {
    return await reader.read();
  } catch {
    signal.throwIfAborted();
    throw new ServerError("broken");
  }
}

function dataOf(event) {
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
}

async function respond(path, body, signal, stopped) {
  for (let attempt = 1; ; attempt++) {
    const response = await send(path, body, signal, stopped);
    if (response.ok) return response;
    if (response.status !== 503) throw await refusal(response);
    if (attempt === ATTEMPTS_WHEN_BUSY) throw new ServerError("busy", "", 503);
    await pause(300 * attempt, stopped);
  }
}

async function send(path, body, signal, stopped) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const post = { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    return await fetch(path, { ...(body === undefined ? { headers } : post), signal });
  } catch {
    stopped?.throwIfAborted();
    throw new ServerError("gone");
  }
}

async function refusal(response) {
  if (response.status === 401) return new ServerError("key", "", 401);
  const answer = await response.json().catch(() => null);
  const message = answer?.error?.message;
  return new ServerError(typeof message === "string" ? "server" : "strange", message, response.status);
}

/** One question at a time: a newer one takes the place of the older, whose answer is dropped if it still comes. */
export class Latest {
  #controller = null;

  /** What work(signal) resolves to; undefined if something newer has been asked meanwhile. */
  async run(work) {
    this.cancel();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      const answer = await work(controller.signal);
      return controller.signal.aborted ? undefined : answer;
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    }
  }

  cancel() {
    this.#controller?.abort();
  }
}
