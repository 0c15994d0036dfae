// SPDX-License-Identifier: BSD-2-Clause
/** The page of all objects of a kind: filter, columns, order, selection; all but the last in its address. */
import { signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../api.js";
import { compileFilter, FilterError } from "../filters.js";
import { compare } from "../format.js";
import { html } from "../html.js";
import { navigate, parameters, setParameters } from "../router.js";
import { tables } from "../store.js";
import { FilterInput } from "./filter_input.js";
import { Grid } from "./grid.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../store.js").Kind} Kind */
/** @typedef {import("./grid.js").Column} Column */
/** @typedef {{ name: string, title: string, doc: string }} Field */

/** The fields of each kind that the server knows. */
const known = signal(/** @type {Partial<Record<Kind, Field[]>>} */ ({}));

/** @param {Kind} kind */
async function loadFields(kind) {
  if (known.value[kind]) return;
  const { fields } = await get(`/2/query/${kind}/fields`);
  known.value = { ...known.value, [kind]: fields };
}

/**
 * @param {object} properties
 * @param {Kind} properties.kind
 * @param {string} properties.title
 * @param {Column[]} properties.columns those shown unless others are chosen, and how they are shown
 * @param {{ column: string, descending: boolean }} [properties.order]
 * @param {(key: string) => string} [properties.open] the address of an object's page
 * @param {(selected: string[]) => any} [properties.actions] buttons for what is selected
 * @param {any} [properties.create] a button
 */
export function List({ kind, title, columns, order, open, actions, create }) {
  const table = tables[kind];
  const selected = useSignal(/** @type {Set<string>} */ (new Set()));
  useEffect(() => {
    table.use();
    loadFields(kind).catch(() => {});
  }, [kind]);

  const filterText = parameters.value.get("filter") ?? "";
  const fields = known.value[kind] ?? [];
  const names = useMemo(() => new Set(fields.map((field) => field.name)), [fields]);
  const { matches, needed, problem } = useMemo(() => {
    try {
      const found = compileFilter(filterText, table.key, names);
      return { matches: found.matches, needed: found.fields, problem: "" };
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      return { matches: () => true, needed: [], problem: error.message };
    }
  }, [filterText, names]);

  const chosen = parameters.value.get("columns")?.split(",");
  const shown = chosen ? chosen.map((name) => columnOf(name, columns, fields)) : columns;
  const wanted = [...needed, ...shown.map((column) => column.name)].filter((name) => names.has(name));
  useEffect(() => table.need(wanted), [wanted.join()]);

  const sorting = sortingOf(parameters.value.get("sort"), order ?? { column: table.key, descending: false });
  const rows = useMemo(() => {
    const found = [...table.rows.value.values()].filter(matches);
    const sign = sorting.descending ? -1 : 1;
    return found.sort((a, b) => sign * compare(a[sorting.column], b[sorting.column]));
  }, [table.rows.value, matches, sorting.column, sorting.descending]);

  const present = useComputed(() => [...selected.value].filter((key) => table.rows.value.has(key)));
  return html`
    <div class="list">
      <div class="title">
        <h1>${title}</h1>
        <span class="muted" role="status">
          ${table.loaded.value ? `${rows.length} of ${table.rows.value.size}` : "Loading …"}
        </span>
        ${create}
      </div>
      ${table.error.value ? html`<p class="problem" role="alert">${table.error.value}</p>` : null}
      <div class="controls">
        <${FilterInput}
          text=${filterText}
          problem=${problem}
          fields=${[...names]}
          valuesOf=${(/** @type {string} */ field) => valuesOf(table.rows.value, field)}
          onText=${(/** @type {string} */ value) => setParameters({ filter: value })}
        />
        <${ColumnChoice} fields=${fields} shown=${shown} />
      </div>
      ${actions && present.value.length
        ? html`<div class="controls selection" role="toolbar" aria-label="Actions">
            <strong>${present.value.length} selected</strong>
            ${actions(present.value)}
            <button onClick=${() => (selected.value = new Set())}>Clear</button>
          </div>`
        : null}
      <${Grid}
        label=${title}
        columns=${shown}
        rows=${rows}
        rowKey=${table.key}
        selected=${selected.value}
        onSelect=${actions ? (/** @type {Set<string>} */ next) => (selected.value = next) : undefined}
        onOpen=${open ? (/** @type {string} */ key) => navigate(open(key)) : undefined}
        order=${sorting}
        onOrder=${(/** @type {string} */ column) =>
          setParameters({ sort: sorting.column === column && !sorting.descending ? `-${column}` : column })}
      />
    </div>
  `;
}

/**
 * @param {string} name
 * @param {Column[]} columns
 * @param {Field[]} fields
 * @returns {Column}
 */
function columnOf(name, columns, fields) {
  const title = fields.find((field) => field.name === name)?.title ?? name;
  return columns.find((column) => column.name === name) ?? { name, title };
}

/**
 * @param {string | null} text
 * @param {{ column: string, descending: boolean }} otherwise
 */
function sortingOf(text, otherwise) {
  if (!text) return otherwise;
  return text.startsWith("-") ? { column: text.slice(1), descending: true } : { column: text, descending: false };
}

/**
 * @param {Map<string, Row>} rows
 * @param {string} field
 */
function valuesOf(rows, field) {
  const found = new Set();
  for (const row of rows.values()) {
    const value = row[field];
    if (typeof value === "string") found.add(value);
    if (found.size >= 200) break;
  }
  return [...found].sort(compare);
}

/** @param {{ fields: Field[], shown: Column[] }} properties */
function ColumnChoice({ fields, shown }) {
  const names = shown.map((column) => column.name);
  /** @param {string} name */
  const toggle = (name) => {
    const next = names.includes(name) ? names.filter((each) => each !== name) : [...names, name];
    setParameters({ columns: next.length ? next.join(",") : null });
  };
  /** @param {any} event */
  function leave(event) {
    const menu = event.currentTarget;
    const left = event.type === "focusout" && event.relatedTarget && !menu.contains(event.relatedTarget);
    if (left || event.key === "Escape") menu.open = false;
  }
  return html`
    <details class="menu" onKeyDown=${leave} onFocusOut=${leave}>
      <summary>Columns</summary>
      <div class="panel">
        <button onClick=${() => setParameters({ columns: null })}>Default columns</button>
        ${fields.map(
          (field) => html`
            <label key=${field.name} title=${field.doc}>
              <input type="checkbox" checked=${names.includes(field.name)} onChange=${() => toggle(field.name)} />
              ${field.title} <code>${field.name}</code>
            </label>
          `,
        )}
      </div>
    </details>
  `;
}
