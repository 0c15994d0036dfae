// SPDX-License-Identifier: BSD-2-Clause
/** Who changed what, when, why and by which job. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { text, time } from "../format.js";
import { entriesOf, readEvents, versionsOf } from "../history.js";
import { html } from "../html.js";
import { openDialog } from "../parts/dialog.js";
import { PastState } from "../parts/past_state.js";
import { href, InstanceLink, JobLink, Link, NodeLink, parameters, setParameters } from "../router.js";
import { onEvent } from "../store.js";

/** @typedef {import("../api.js").Row} Row */

const PAGE = 200;

export function History() {
  const name = parameters.value.get("name") ?? "";
  const withJobs = parameters.value.get("jobs") === "1";
  const [events, setEvents] = useState(/** @type {Row[] | null} */ (null));
  const [complete, setComplete] = useState(true);
  const [problem, setProblem] = useState("");
  const [shown, setShown] = useState(PAGE);

  useEffect(() => {
    const stop = new AbortController();
    /** @type {Row[]} */
    const news = [];
    setEvents(null);
    setProblem("");
    const close = onEvent((event) => {
      if (name && event["name"] !== name && !event["names"]?.includes(name)) return;
      news.push(event);
      setEvents((before) => before && [...before, event]);
    });
    readEvents(name, stop.signal).then(
      (found) => {
        if (stop.signal.aborted) return;
        const known = new Set(found.events.map((event) => event["id"]));
        setEvents([...found.events, ...news.filter((event) => !known.has(event["id"]))]);
        setComplete(found.complete);
      },
      () => stop.signal.aborted || setProblem("The history cannot be read now."),
    );
    return () => {
      stop.abort();
      close();
    };
  }, [name]);

  const entries = useMemo(
    () => entriesOf(events ?? []).filter(({ event }) => withJobs || event["kind"] !== "job"),
    [events, withJobs],
  );
  return html`
    <h1>History</h1>
    <div class="controls">
      <label class="check">
        Object
        <input
          data-filter
          type="search"
          value=${name}
          placeholder="all"
          onChange=${(/** @type {any} */ event) => setParameters({ name: event.currentTarget.value.trim() })}
        />
      </label>
      <label class="check">
        <input type="checkbox" checked=${withJobs} onChange=${() => setParameters({ jobs: withJobs ? null : "1" })} />
        Jobs, too
      </label>
    </div>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    ${events === null && !problem ? html`<p role="status">Reading the journal …</p>` : null}
    ${complete ? null : html`<p class="muted">Older changes are not kept.</p>`}
    <ol class="history">
      ${entries.slice(0, shown).map(
        ({ event, changes }) => html`
          <li key=${event["id"]}>
            <time class="muted">${time(event["at"])}</time>
            <div>
              <strong>${event["kind"]} <${Subject} event=${event} /> ${event["action"]}</strong>
              ${event["uuid"] && event["value"]
                ? html` <button class="link" onClick=${() => openPast(events ?? [], event)}>Show as it was</button>`
                : null}
              <span class="muted"> ${because(event)} ${event["job"] ? html`job <${JobLink} id=${event["job"]} />` : null}</span>
              ${changes.length
                ? html`<ul>
                    ${changes.map(
                      ({ path, before, after }) => html`
                        <li key=${path}><code>${path}</code>: ${text(before)} → ${text(after)}</li>
                      `,
                    )}
                  </ul>`
                : null}
            </div>
          </li>
        `,
      )}
    </ol>
    ${events && !entries.length ? html`<p class="muted">Nothing has changed that is kept.</p>` : null}
    ${entries.length > shown ? html`<button onClick=${() => setShown(shown + PAGE)}>Show more</button>` : null}
  `;
}

/** @param {Row[]} events @param {Row} event */
function openPast(events, event) {
  const versions = versionsOf(events, event["uuid"]);
  openDialog(
    `${event["kind"]} ${event["name"] ?? event["uuid"]}`,
    html`<${PastState} versions=${versions} at=${String(event["id"])} />`,
  );
}

/** @param {Row} event */
function because(event) {
  return [event["who"] && `by ${event["who"]}`, event["why"] && `(${event["why"]})`, event["reason"]].filter(Boolean).join(" ");
}

/** @param {{ event: Row }} properties */
function Subject({ event }) {
  const { kind, name, action } = event;
  if (!name) return html`<span>${event["uuid"] ?? ""}</span>`;
  if (action === "removed") return html`<span>${name}</span>`;
  if (kind === "instance" || kind === "disk") return html`<${InstanceLink} name=${name} />`;
  if (kind === "node") return html`<${NodeLink} name=${name} />`;
  if (kind === "job") return html`<${JobLink} id=${name} />`;
  if (kind === "network") return html`<${Link} to=${href("networks", name)}>${name}<//>`;
  return html`<span>${name}</span>`;
}
