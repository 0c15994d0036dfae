// SPDX-License-Identifier: BSD-2-Clause
/**
 * The form for a new instance, made from the description of the API: each field has the type, the
 * choices, the default and the text of its declaration. What it would do is shown while one types.
 */
import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "./api.js";
import { html } from "./html.js";
import { openDialog } from "./parts/dialog.js";
import { Plans } from "./parts/plan_dialog.js";
import { Verdict } from "./parts/verdict.js";
import { tables } from "./store.js";

/** @typedef {Record<string, any>} Schema */

/** Those that most instances need; all others are below "More". */
const FIRST = ["name", "os", "disk_template", "disks", "nics", "pnode", "snode", "iallocator", "beparams", "start"];

/** Those that only programs set. */
const HIDDEN = ["__version__", "mode", "dry_run", "debug_level", "depends", "opportunistic_locking", "identify_defaults"];
const HIDDEN_PREFIXES = ["source_", "src_", "helper_"];

/** @type {Record<string, string>} */
const EXAMPLES = {
  disks: '[{"size": 1024}]',
  nics: "[{}]",
  beparams: '{"maxmem": 128, "minmem": 128, "vcpus": 1}',
  tags: '["web"]',
};

/** @type {Record<string, string>} */
const DEFAULTS = { disks: '[{"size": 128}]', nics: "[{}]", beparams: '{"maxmem": 128, "minmem": 128}' };

/** @param {{ description: any }} properties */
export function CreateForm({ description }) {
  const schemas = description.components.schemas;
  const schema = useMemo(() => {
    const body = description.paths["/2/instances"].post.requestBody.content["application/json"].schema;
    return resolve(body, schemas);
  }, [description]);
  const names = Object.keys(schema.properties).filter(
    (name) => !HIDDEN.includes(name) && !HIDDEN_PREFIXES.some((prefix) => name.startsWith(prefix)),
  );
  const [values, setValues] = useState(/** @type {Record<string, string>} */ (DEFAULTS));
  const [systems, setSystems] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    tables.node.use();
    get("/2/os").then(setSystems, () => {});
  }, []);
  const nodes = [...tables.node.rows.value.keys()];
  /** @type {Record<string, string[]>} */
  const suggestions = { os: systems, pnode: nodes, snode: nodes };
  const { body, problems } = read(values, schema, schemas);
  const ready = Boolean(body["name"]) && !Object.keys(problems).length;
  const order = { label: body["name"], method: "POST", path: "/2/instances", body };

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    if (ready) openDialog(`New instance: ${body["name"]}`, html`<${Plans} orders=${[order]} title="Create" />`);
  }

  /** @param {string} name */
  const input = (name) => html`
    <${Field}
      key=${name}
      name=${name}
      schema=${resolve(schema.properties[name], schemas)}
      text=${schema.properties[name].description ?? ""}
      value=${values[name]}
      problem=${problems[name]}
      suggestions=${suggestions[name]}
      onValue=${(/** @type {string} */ value) => setValues((before) => ({ ...before, [name]: value }))}
    />
  `;
  return html`
    <form class="create" onSubmit=${submit}>
      ${FIRST.filter((name) => names.includes(name)).map(input)}
      <details>
        <summary>More</summary>
        ${names.filter((name) => !FIRST.includes(name)).map(input)}
      </details>
      <div class="outcome">
        ${ready ? html`<${Verdict} order=${order} />` : html`<p class="muted">Give a name and an OS definition.</p>`}
        <footer><button class="primary" disabled=${!ready}>Show plan</button></footer>
      </div>
    </form>
  `;
}

/**
 * @param {Schema} schema
 * @param {Record<string, Schema>} schemas
 * @returns {Schema} without references, and without null
 */
function resolve(schema, schemas) {
  const reference = schema["$ref"];
  if (reference) return { ...resolve(schemas[reference.split("/").pop()] ?? {}, schemas), ...without(schema, "$ref") };
  const options = schema["anyOf"]?.filter((/** @type {Schema} */ each) => each["type"] !== "null");
  if (options?.length === 1) return { ...resolve(options[0], schemas), ...without(schema, "anyOf") };
  return schema;
}

/** @param {Schema} schema @param {string} name */
function without(schema, name) {
  const { [name]: _, ...rest } = schema;
  return rest;
}

/**
 * @param {Record<string, string>} values
 * @param {Schema} schema
 * @param {Record<string, Schema>} schemas
 * @returns {{ body: Record<string, any>, problems: Record<string, string> }}
 */
function read(values, schema, schemas) {
  /** @type {Record<string, any>} */
  const body = { __version__: 1, mode: "create", name_check: false, ip_check: false };
  /** @type {Record<string, string>} */
  const problems = {};
  for (const [name, text] of Object.entries(values)) {
    const { type } = resolve(schema["properties"][name], schemas);
    if (text === "") continue;
    if (type === "boolean") body[name] = text === "true";
    else if (type === "integer" || type === "number") body[name] = Number(text);
    else if (type === "array" || type === "object") {
      try {
        body[name] = JSON.parse(text);
      } catch {
        problems[name] = `This is no JSON; for example: ${EXAMPLES[name] ?? (type === "array" ? "[]" : "{}")}`;
      }
    } else body[name] = text;
  }
  return { body, problems };
}

/**
 * @param {object} properties
 * @param {string} properties.name
 * @param {Schema} properties.schema
 * @param {string} properties.text
 * @param {string | undefined} properties.value
 * @param {string | undefined} properties.problem
 * @param {string[] | undefined} properties.suggestions
 * @param {(value: string) => void} properties.onValue
 */
function Field({ name, schema, text, value = "", problem, suggestions, onValue }) {
  const id = `create-${name}`;
  /** @param {any} event */
  const change = (event) => onValue(event.currentTarget.value);
  const choices = schema["type"] === "boolean" ? ["true", "false"] : schema["enum"];
  const otherwise = schema["default"] ?? null;
  const placeholder = otherwise === null ? (EXAMPLES[name] ?? "") : JSON.stringify(otherwise);
  return html`
    <div class="field">
      <label for=${id}>${name}</label>
      ${choices
        ? html`<select id=${id} value=${value} onChange=${change} aria-describedby=${`${id}-text`}>
            <option value="">${otherwise === null ? "default" : `default: ${otherwise}`}</option>
            ${choices.map((/** @type {string} */ each) => html`<option key=${each} value=${each}>${each}</option>`)}
          </select>`
        : html`<input
            id=${id}
            name=${name}
            value=${value}
            onInput=${change}
            placeholder=${placeholder}
            list=${suggestions ? `${id}-list` : undefined}
            aria-describedby=${`${id}-text`}
            aria-invalid=${Boolean(problem)}
            autocomplete="off"
            spellcheck=${false}
          />`}
      ${suggestions ? html`<datalist id=${`${id}-list`}>${suggestions.map((each) => html`<option key=${each} value=${each} />`)}</datalist>` : null}
      <small id=${`${id}-text`} class=${problem ? "problem" : "muted"}>${problem ?? text}</small>
    </div>
  `;
}
