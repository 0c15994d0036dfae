// SPDX-License-Identifier: BSD-2-Clause
/** A table that stays fluid with tens of thousands of rows: only those in view are drawn. */
import { useEffect, useRef, useState } from "preact/hooks";
import { text } from "../format.js";
import { html } from "../html.js";

/** @typedef {import("../api.js").Row} Row */
/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} title
 * @property {string} [width] as in CSS grids
 * @property {boolean} [number] whether it is set to the right
 * @property {(row: Row) => any} [show] a template; without one, the value as text
 */

const ROW_HEIGHT = 34;
const OVERSCAN = 8;
const CHECK_WIDTH = "2.2rem";

/** The padding of a row on both sides, in rem. */
const ROW_PADDING = 1;

/**
 * @param {object} properties
 * @param {string} properties.label
 * @param {Column[]} properties.columns
 * @param {Row[]} properties.rows
 * @param {string} properties.rowKey
 * @param {Set<string>} properties.selected
 * @param {(selected: Set<string>) => void} [properties.onSelect] without it, rows cannot be selected
 * @param {(key: string) => void} [properties.onOpen]
 * @param {{ column: string, descending: boolean }} properties.order
 * @param {(column: string) => void} properties.onOrder
 */
export function Grid({ label, columns, rows, rowKey, selected, onSelect, onOpen, order, onOrder }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const anchor = useRef(0);
  const [active, setActive] = useState(0);
  const [view, setView] = useState({ top: 0, height: 600 });

  useEffect(() => {
    const grid = element.current;
    if (!grid) return undefined;
    const measure = () => setView({ top: grid.scrollTop, height: grid.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(grid);
    grid.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      grid.removeEventListener("scroll", measure);
    };
  }, []);

  const first = Math.max(0, Math.floor(view.top / ROW_HEIGHT) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_HEIGHT) + OVERSCAN);
  const widths = columns.map((column) => column.width ?? "minmax(6rem, 1fr)");
  const template = `${onSelect ? `${CHECK_WIDTH} ` : ""}${widths.join(" ")}`;
  // The head and the rows are grids of their own, whose columns are at the same places only if all are as wide.
  const minWidth = `${[...template.matchAll(/(?<!, )\b([\d.]+)rem/g)].reduce((sum, [, rem]) => sum + Number(rem), ROW_PADDING)}rem`;

  /** @param {number} index */
  const keyAt = (index) => String(rows[index]?.[rowKey]);

  /** @param {number} index @param {boolean} range */
  function toggle(index, range) {
    if (!onSelect) return;
    const next = new Set(selected);
    if (range) {
      const [from, to] = [Math.min(anchor.current, index), Math.max(anchor.current, index)];
      for (let each = from; each <= to; each += 1) next.add(keyAt(each));
    } else if (!next.delete(keyAt(index))) {
      next.add(keyAt(index));
    }
    anchor.current = index;
    onSelect(next);
  }

  /** @param {number} index */
  function moveTo(index) {
    const to = Math.max(0, Math.min(rows.length - 1, index));
    setActive(to);
    const grid = element.current;
    if (!grid) return;
    const top = to * ROW_HEIGHT;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + 2 * ROW_HEIGHT > grid.scrollTop + grid.clientHeight) {
      grid.scrollTop = top + 2 * ROW_HEIGHT - grid.clientHeight;
    }
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (event.target !== element.current) return;
    const page = Math.max(1, Math.floor(view.height / ROW_HEIGHT) - 2);
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowDown: () => moveTo(active + 1),
      ArrowUp: () => moveTo(active - 1),
      PageDown: () => moveTo(active + page),
      PageUp: () => moveTo(active - page),
      Home: () => moveTo(0),
      End: () => moveTo(rows.length - 1),
      Enter: () => rows[active] && onOpen?.(keyAt(active)),
      " ": () => rows[active] && toggle(active, event.shiftKey),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  const all = rows.length > 0 && rows.every((row) => selected.has(String(row[rowKey])));
  const visible = rows.slice(first, last);
  return html`
    <div
      class="grid"
      role="grid"
      ref=${element}
      tabindex="0"
      aria-label=${label}
      aria-rowcount=${rows.length + 1}
      aria-multiselectable=${onSelect ? "true" : undefined}
      aria-activedescendant=${rows[active] && active >= first && active < last ? `row-${active}` : undefined}
      onKeyDown=${press}
    >
      <div class="row head" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template, minWidth }}>
        ${onSelect
          ? html`<div role="columnheader">
              <input
                type="checkbox"
                aria-label="Select all"
                checked=${all}
                onChange=${() => onSelect(all ? new Set() : new Set(rows.map((row) => String(row[rowKey]))))}
              />
            </div>`
          : null}
        ${columns.map(
          (column) => html`
            <div
              key=${column.name}
              role="columnheader"
              class=${column.number ? "number" : ""}
              aria-sort=${order.column === column.name ? (order.descending ? "descending" : "ascending") : "none"}
            >
              <button onClick=${() => onOrder(column.name)}>
                ${column.title}${order.column === column.name ? (order.descending ? " ↓" : " ↑") : ""}
              </button>
            </div>
          `,
        )}
      </div>
      <div class="rows" role="rowgroup" style=${{ height: `${rows.length * ROW_HEIGHT}px`, minWidth }}>
        ${visible.map((row, offset) => {
          const index = first + offset;
          const key = String(row[rowKey]);
          return html`
            <div
              key=${key}
              id=${`row-${index}`}
              class=${`row${index === active ? " active" : ""}`}
              role="row"
              aria-rowindex=${index + 2}
              aria-selected=${onSelect ? selected.has(key) : undefined}
              style=${{ gridTemplateColumns: template, transform: `translateY(${index * ROW_HEIGHT}px)` }}
              onClick=${() => setActive(index)}
              onDblClick=${() => onOpen?.(key)}
            >
              ${onSelect
                ? html`<div role="gridcell">
                    <input
                      type="checkbox"
                      tabindex="-1"
                      aria-label=${`Select ${key}`}
                      checked=${selected.has(key)}
                      onClick=${(/** @type {MouseEvent} */ event) => toggle(index, event.shiftKey)}
                    />
                  </div>`
                : null}
              ${columns.map(
                (column) => html`
                  <div key=${column.name} role="gridcell" class=${column.number ? "number" : ""} dir="auto">
                    ${column.show ? column.show(row) : text(row[column.name])}
                  </div>
                `,
              )}
            </div>
          `;
        })}
      </div>
    </div>
  `;
}
