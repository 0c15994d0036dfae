// SPDX-License-Identifier: BSD-2-Clause
/** The serial console of an instance. */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api.js";
import { html } from "../html.js";
import { Backoff, consoleAddress, sendWatching, sentence } from "./connection.js";
import { Frame } from "./frame.js";
import { withStyleSheets } from "./style_sheets.js";
import { ALONE, readViewers } from "./viewers.js";

/** Fast enough for people, slow enough for the buffer of a serial line. */
const PASTE_PIECE = 64;
const PASTE_DELAY = 20;

const ENCODER = new TextEncoder();

/** @param {{ name: string }} properties */
export function Serial({ name }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const type = useRef(/** @param {string} _ */ (_) => {});
  const [state, setState] = useState(/** @type {"connecting" | "connected" | "closed"} */ ("connecting"));
  const [problem, setProblem] = useState("");
  const [viewers, setViewers] = useState(ALONE);
  const watch = useRef(/** @param {boolean} _ */ (_) => {});
  const takeOver = useRef(false);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const target = element.current;
    if (!target) return undefined;
    const terminal = new Terminal({
      cursorBlink: true,
      scrollback: 5000,
      screenReaderMode: true,
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace',
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    const removeStyleSheets = withStyleSheets(() => terminal.open(target));
    // Tab belongs to the guest; this leads back to the page, as it does from gnt-instance console.
    terminal.attachCustomKeyEventHandler((event) => {
      if (!(event.ctrlKey && event.key === "]")) return true;
      document.querySelector(/** @type {any} */ (".keys summary"))?.focus();
      return false;
    });
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(target);

    /** @type {WebSocket | null} */
    let socket = null;
    watch.current = (watching) => sendWatching(socket, watching);
    let ended = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const backoff = new Backoff();

    /** @param {string} text */
    const transmit = (text) => socket?.readyState === WebSocket.OPEN && socket.send(ENCODER.encode(text));
    terminal.onData(transmit);
    terminal.onBinary((text) => socket?.send(Uint8Array.from(text, (each) => each.charCodeAt(0))));
    type.current = async (text) => {
      const keys = text.replaceAll("\r\n", "\r").replaceAll("\n", "\r");
      for (let at = 0; at < keys.length; at += PASTE_PIECE) {
        transmit(keys.slice(at, at + PASTE_PIECE));
        await new Promise((resolve) => setTimeout(resolve, PASTE_DELAY));
      }
      terminal.focus();
    };

    /** @param {import("./viewers.js").Viewers} status */
    function show(status) {
      setViewers(status);
      terminal.options.disableStdin = status.watching;
    }

    async function connect() {
      setState("connecting");
      let address;
      try {
        address = await consoleAddress(name, "serial", takeOver.current);
        takeOver.current = false;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (ended) return;
        setProblem(error.message);
        setState("closed");
        retry();
        return;
      }
      if (ended) return;
      socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        backoff.reset();
        setState("connected");
        setProblem("");
        terminal.focus();
      };
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") show(readViewers(data));
        else terminal.write(new Uint8Array(data));
      };
      socket.onclose = ({ reason }) => {
        if (ended) return;
        setState("closed");
        show(ALONE);
        if (reason) setProblem(sentence(reason));
        retry();
      };
    }

    function retry() {
      timer = setTimeout(connect, backoff.next());
    }

    connect();
    return () => {
      ended = true;
      clearTimeout(timer);
      observer.disconnect();
      socket?.close();
      terminal.dispose();
      removeStyleSheets();
    };
  }, [name, attempt]);

  /** @param {string} label @param {string} text */
  const key = (label, text) => ({ label, send: () => type.current(text) });
  return html`
    <${Frame}
      name=${name}
      title="Serial console"
      state=${state}
      problem=${problem}
      viewers=${viewers}
      keys=${[key("Ctrl-C", "\x03"), key("Ctrl-D", "\x04"), key("Ctrl-Z", "\x1a"), key("Escape", "\x1b"), key("Ctrl-]", "\x1d")]}
      onPaste=${(/** @type {string} */ text) => type.current(text)}
      onRetry=${() => setAttempt(attempt + 1)}
      onWatch=${(/** @type {boolean} */ watching) => watch.current(watching)}
      onTakeOver=${() => {
        takeOver.current = true;
        setAttempt(attempt + 1);
      }}
    >
      <div class="terminal" ref=${element} />
      <p class="muted">Ctrl-] leads from the terminal to the buttons.</p>
    <//>
  `;
}
