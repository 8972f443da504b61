// Requests of which only the latest matters.

/** Runs one request at a time: a newer one aborts the older one, whose result is dropped. */
export class Latest {
  #controller = null;

  /** Resolves to the result of work(signal), or to undefined if a newer request was started meanwhile. */
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
