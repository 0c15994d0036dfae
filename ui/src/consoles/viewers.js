// SPDX-License-Identifier: BSD-2-Clause
/** Who is at a console, and who of them may type, as the node tells. */

/**
 * @typedef {object} Viewers
 * @property {string[]} others who else is there, and whether they only watch
 * @property {boolean} watching whether one may not type oneself
 * @property {string | null} controller who else has taken over, and types alone
 */

/** @type {Viewers} */
export const ALONE = { others: [], watching: false, controller: null };

/**
 * @param {string} message of the node: names, and indices of the list of names
 * @returns {Viewers}
 */
export function readViewers(message) {
  /** @type {{ viewers: string[], watching: number[], controller: number | null, you: number }} */
  const { viewers, watching, controller, you } = JSON.parse(message);
  const others = viewers.flatMap((name, index) =>
    index === you ? [] : [watching.includes(index) ? `${name} (watching)` : name],
  );
  const other = controller === null || controller === you ? null : (viewers[controller] ?? null);
  return { others, watching: watching.includes(you), controller: other };
}
