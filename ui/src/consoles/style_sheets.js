// SPDX-License-Identifier: BSD-2-Clause
/**
 * Constructed style sheets in place of style elements. xterm.js writes rules for its colors and
 * sizes into style elements, which the content security policy does not apply.
 */

/**
 * Call a function; the style elements that it makes become style sheets of the document.
 *
 * @param {() => void} make
 * @returns {() => void} removes the style sheets
 */
export function withStyleSheets(make) {
  /** @type {CSSStyleSheet[]} */
  const sheets = [];

  /** @param {string} name @param {ElementCreationOptions} [options] */
  function createElement(name, options) {
    if (name.toLowerCase() !== "style") return Document.prototype.createElement.call(document, name, options);
    const element = document.createElement("span");
    element.hidden = true;
    const sheet = new CSSStyleSheet();
    sheets.push(sheet);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    Object.defineProperty(element, "textContent", { set: (text) => sheet.replaceSync(text) });
    return element;
  }

  // An own property of the document hides the method of its class.
  Object.defineProperty(document, "createElement", { value: createElement, configurable: true });
  try {
    make();
  } finally {
    Reflect.deleteProperty(document, "createElement");
  }
  return () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !sheets.includes(sheet));
  };
}
