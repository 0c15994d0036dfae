// SPDX-License-Identifier: BSD-2-Clause
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, segment } from "../api.js";
import { html } from "../html.js";
import { href, Link } from "../router.js";

/**
 * What an instance shows on its screen, when the page was opened or is asked again.
 *
 * @param {{ name: string }} properties
 */
export function Thumbnail({ name }) {
  const [png, setPng] = useState("");
  const [problem, setProblem] = useState("");
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    get(`/2/instances/${segment(name)}/screenshot`, abort.signal).then(
      (found) => {
        setPng(found.png);
        setProblem("");
      },
      (error) => {
        if (abort.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        setProblem(error.message);
      },
    );
    return () => abort.abort();
  }, [name, asked]);
  return html`
    <section class="thumbnail" aria-labelledby="screen-title">
      <div class="heading">
        <h2 id="screen-title">Screen</h2>
        <button onClick=${() => setAsked(asked + 1)}>Look again</button>
      </div>
      ${problem ? html`<p class="muted">${problem}</p>` : null}
      ${png
        ? html`<${Link} to=${href("instances", name, "screen")}>
            <img src=${`data:image/png;base64,${png}`} alt=${`The screen of ${name}; opens it`} />
          <//>`
        : null}
    </section>
  `;
}
