// Requests to the server, and their errors.

import { pause } from "./dom.js";
import { ServerError } from "./server_error.js";

const LONGEST_ANSWER = 60_000; // milliseconds
const ATTEMPTS_WHEN_BUSY = 3;

let key = ""; // of a server that was started with --api-key

/** Sets the key to send with every request; it is kept only until the page is closed. */
export function useKey(given) {
  key = given;
}

/** Sends a request, GET without a body, else POST; returns the answer. Throws a ServerError or the signal's reason. */
export async function ask(path, body, signal) {
  const limit = AbortSignal.timeout(LONGEST_ANSWER);
  const response = await respond(path, body, signal ? AbortSignal.any([signal, limit]) : limit, signal);
  try {
    return await response.json();
  } catch {
    signal?.throwIfAborted();
    throw new ServerError(limit.aborted ? "slow" : "broken");
  }
}

/** Yields the events of a streamed answer as they arrive. */
export async function* stream(path, body, signal) {
  const response = await respond(path, { ...body, stream: true }, signal, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await next(reader, signal);
    if (done) throw new ServerError("broken"); // the stream ended without [DONE]
    waiting += value.replaceAll("\r", "");
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const data = dataOf(event);
      if (data === "[DONE]") return;
      if (data === "") continue; // a comment that keeps the connection open
      const answer = JSON.parse(data);
      if (answer.error) throw new ServerError("server", answer.error);
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
    const error = await refusal(response);
    if (error.kind !== "busy" || attempt === ATTEMPTS_WHEN_BUSY) throw error;
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
    throw new ServerError(signal?.aborted ? "slow" : "gone");
  }
}

async function refusal(response) {
  const { status } = response;
  const answer = await response.json().catch(() => null);
  const error = answer?.error ?? {};
  if (status === 401) return new ServerError("key", error, status);
  if (status === 503 && !["timeout", "memory"].includes(error.code)) return new ServerError("busy", error, status);
  return new ServerError(typeof error.message === "string" ? "server" : "strange", error, status);
}
