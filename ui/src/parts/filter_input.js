// SPDX-License-Identifier: BSD-2-Clause
import { useId, useRef, useState } from "preact/hooks";
import { complete } from "../filters.js";
import { html } from "../html.js";

/**
 * An input for a filter, with completion of fields, operators and values.
 *
 * @param {{ text: string, problem: string, fields: string[], valuesOf: (field: string) => string[], onText: (text: string) => void }} properties
 */
export function FilterInput({ text, problem, fields, valuesOf, onText }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const list = useId();
  const cursor = input.current?.selectionStart ?? text.length;
  const { start, words } = open ? complete(text.slice(0, cursor), fields, valuesOf) : { start: 0, words: [] };

  /** @param {string} word */
  function take(word) {
    const next = `${text.slice(0, start)}${word} ${text.slice(cursor).trimStart()}`;
    onText(next);
    setActive(-1);
    const at = start + word.length + 1;
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (event.key === "Escape") {
      if (open) event.preventDefault();
      setOpen(false);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (words.length) setActive((active + step + words.length) % words.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && open && words[active] !== undefined) {
      event.preventDefault();
      take(/** @type {string} */ (words[active]));
    }
  }

  return html`
    <div class="filter">
      <input
        ref=${input}
        data-filter
        type="search"
        role="combobox"
        aria-label="Filter"
        aria-autocomplete="list"
        aria-expanded=${words.length > 0}
        aria-controls=${list}
        aria-activedescendant=${active >= 0 ? `${list}-${active}` : undefined}
        aria-invalid=${Boolean(problem)}
        placeholder='Filter: a name, or status == "running"'
        spellcheck=${false}
        autocomplete="off"
        value=${text}
        onInput=${(/** @type {any} */ event) => {
          setOpen(true);
          setActive(-1);
          onText(event.currentTarget.value);
        }}
        onBlur=${() => setOpen(false)}
        onKeyDown=${press}
      />
      <ul id=${list} role="listbox" aria-label="Completions" hidden=${!words.length}>
        ${words.map(
          (word, index) => html`
            <li
              key=${word}
              id=${`${list}-${index}`}
              role="option"
              aria-selected=${index === active}
              onMouseDown=${(/** @type {Event} */ event) => {
                event.preventDefault();
                take(word);
              }}
            >${word}</li>
          `,
        )}
      </ul>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    </div>
  `;
}
