// SPDX-License-Identifier: BSD-2-Clause
/**
 * Keyboard layouts, for typing a text at a screen: a guest that has another layout than US takes the
 * position of a key, and makes a character of it by its own layout.
 */

/** The keys of each row, by their names in KeyboardEvent.code. */
const ROWS = [
  ["Backquote", ...[..."1234567890"].map((each) => `Digit${each}`), "Minus", "Equal"],
  [...[..."QWERTYUIOP"].map((each) => `Key${each}`), "BracketLeft", "BracketRight", "Backslash"],
  [...[..."ASDFGHJKL"].map((each) => `Key${each}`), "Semicolon", "Quote"],
  ["IntlBackslash", ...[..."ZXCVBNM"].map((each) => `Key${each}`), "Comma", "Period", "Slash"],
];

/**
 * What the keys of each row make, alone, with Shift and with AltGr; a space is nothing. Those that are
 * dead make a character only with the space after them.
 *
 * @typedef {{ title: string, plain: string[], shift: string[], altgr: string[], dead?: string }} Layout
 */

/** @type {Record<string, Layout>} */
export const LAYOUTS = {
  us: {
    title: "US",
    plain: ["`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", " zxcvbnm,./"],
    shift: ["~!@#$%^&*()_+", "QWERTYUIOP{}|", 'ASDFGHJKL:"', " ZXCVBNM<>?"],
    altgr: [],
  },
  gb: {
    title: "British",
    plain: ["`1234567890-=", "qwertyuiop[]#", "asdfghjkl;'", "\\zxcvbnm,./"],
    shift: ['¬!"£$%^&*()_+', "QWERTYUIOP{}~", "ASDFGHJKL:@", "|ZXCVBNM<>?"],
    altgr: ["    €        "],
  },
  de: {
    title: "German",
    plain: ["^1234567890ß´", "qwertzuiopü+#", "asdfghjklöä", "<yxcvbnm,.-"],
    shift: ['°!"§$%&/()=?`', "QWERTZUIOPÜ*'", "ASDFGHJKLÖÄ", ">YXCVBNM;:_"],
    altgr: ["  ²³   {[]}\\ ", "@ €        ~ ", "           ", "|      µ   "],
    dead: "^´`",
  },
  fr: {
    title: "French",
    plain: ["²&é\"'(-è_çà)=", "azertyuiop $*", "qsdfghjklmù", "<wxcvbn,;:!"],
    shift: [" 1234567890°+", "AZERTYUIOP £µ", "QSDFGHJKLM%", ">WXCVBN?./§"],
    altgr: ["  ~#{[|`\\^@]}", "  €          "],
  },
};

/** @typedef {{ code: string, shift: boolean, altgr: boolean, dead: boolean }} Stroke */

/**
 * Return how a character is typed; null if the layout has no key for it.
 *
 * @param {string} layout
 * @param {string} character
 * @returns {Stroke | null}
 */
export function strokeOf(layout, character) {
  const found = LAYOUTS[layout];
  if (!found || character === " ") return null;
  for (const level of /** @type {const} */ (["plain", "shift", "altgr"])) {
    for (const [row, characters] of found[level].entries()) {
      const code = ROWS[row]?.[[...characters].indexOf(character)];
      if (code) {
        const dead = found.dead?.includes(character) ?? false;
        return { code, shift: level === "shift", altgr: level === "altgr", dead };
      }
    }
  }
  return null;
}
