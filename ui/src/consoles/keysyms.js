// SPDX-License-Identifier: BSD-2-Clause
/** Keys by the numbers that VNC has for them (X11, keysymdef.h). */

export const KEYSYMS = {
  Alt: 0xffe9,
  AltGr: 0xfe03,
  Control: 0xffe3,
  Delete: 0xffff,
  Enter: 0xff0d,
  Escape: 0xff1b,
  F1: 0xffbe,
  Shift: 0xffe1,
  SysRq: 0xff15,
  Tab: 0xff09,
};

/** @type {Record<string, number>} */
const CONTROLS = { "\n": KEYSYMS.Enter, "\r": KEYSYMS.Enter, "\t": KEYSYMS.Tab, "\x1b": KEYSYMS.Escape };

/**
 * Return the key of a character: its code in Latin-1, or its code in Unicode with a mark.
 *
 * @param {string} character
 */
export function keysymOf(character) {
  const code = character.codePointAt(0) ?? 0;
  return CONTROLS[character] ?? (code < 0x100 ? code : 0x01000000 | code);
}
