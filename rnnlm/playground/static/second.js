// The second model, which reads the same text beside the first.

import { byId, element } from "./dom.js";
import { chosen } from "./page.js";
import { words } from "./words.js";

/** model: the second model's entry in the list of /v1/models; null if there is none. */
export const second = { model: null };

/** Offers all models but the chosen one and the bidirectional ones; wanted: id of the model to select. */
export function offerSecond(models, wanted) {
  const others = models.filter(({ id, bidirectional }) => id !== chosen.model.id && !bidirectional);
  const none = element("option", { value: "", "data-word": "second.none" }, words("second.none"));
  byId("second").replaceChildren(none, ...others.map(({ id }) => element("option", { value: id }, id)));
  byId("second-choice").hidden = !others.length || Boolean(chosen.model.bidirectional);
  second.model = (!byId("second-choice").hidden && others.find(({ id }) => id === wanted)) || null;
  byId("second").value = second.model?.id ?? "";
}

/**
 * Aligns two lists of pieces of one text: returns the shortest stretches with edges in both, [{text, bits: [one,
 * other]}]. If one model has words and the other characters, a stretch is a word. The bits of its pieces are summed.
 */
export function together(one, other) {
  const lists = [one, other].map((pieces) => pieces.filter(({ text }) => text !== ""));
  const [places, lengths, found] = [[0, 0], [0, 0], []];
  let stretch = { text: "", bits: [0, 0] };
  while (places[0] < lists[0].length || places[1] < lists[1].length) {
    const isFirst = places[0] < lists[0].length && (lengths[0] <= lengths[1] || places[1] >= lists[1].length);
    const which = isFirst ? 0 : 1;
    const { text, bits } = lists[which][places[which]++];
    lengths[which] += text.length;
    stretch.bits[which] += bits ?? Infinity;
    if (isFirst) stretch.text += text;
    if (lengths[0] !== lengths[1]) continue;
    found.push(stretch);
    stretch = { text: "", bits: [0, 0] };
  }
  const ends = [one, other].map((pieces) => pieces.at(-1));
  if (ends.every((end) => end?.text === "")) found.push({ text: "", bits: ends.map(({ bits }) => bits) });
  return found; // the end of the last line is included if both models read it
}
