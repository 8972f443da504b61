// Questions that are overtaken by newer ones.

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
