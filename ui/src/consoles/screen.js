// SPDX-License-Identifier: BSD-2-Clause
/** The screen of an instance, by VNC. */
import RFB from "@novnc/novnc";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api.js";
import { html } from "../html.js";
import { Backoff, consoleAddress, sendWatching, sentence } from "./connection.js";
import { Frame } from "./frame.js";
import { strokeOf } from "./layouts.js";
import { keysymOf, KEYSYMS } from "./keysyms.js";
import { ALONE, readViewers } from "./viewers.js";

const PASTE_DELAY = 15;

/** @param {{ name: string }} properties */
export function Screen({ name }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const screen = useRef(/** @type {RFB | null} */ (null));
  const [state, setState] = useState(/** @type {"connecting" | "connected" | "closed"} */ ("connecting"));
  const [problem, setProblem] = useState("");
  const [locked, setLocked] = useState(false);
  const [scaled, setScaled] = useState(true);
  const [viewers, setViewers] = useState(ALONE);
  const socket = useRef(/** @type {WebSocket | null} */ (null));
  const takeOver = useRef(false);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let ended = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const backoff = new Backoff();

    async function connect() {
      const target = element.current;
      if (!target) return;
      setState("connecting");
      let address;
      try {
        address = await consoleAddress(name, "vnc", takeOver.current);
        takeOver.current = false;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (!ended) close(error.message);
        return;
      }
      if (ended) return;
      const opened = new WebSocket(address);
      // Before noVNC listens, which takes all messages for the protocol of VNC.
      opened.addEventListener("message", (event) => {
        if (typeof event.data !== "string") return;
        event.stopImmediatePropagation();
        setViewers(readViewers(event.data));
      });
      opened.addEventListener("close", ({ reason }) => {
        if (!ended && reason) setProblem(sentence(reason));
      });
      socket.current = opened;
      const rfb = new RFB(target, opened, { shared: true });
      screen.current = rfb;
      rfb.scaleViewport = true;
      rfb.background = "transparent";
      rfb.addEventListener("connect", () => {
        backoff.reset();
        setState("connected");
        setProblem("");
        rfb.focus();
      });
      rfb.addEventListener("credentialsrequired", () => setLocked(true));
      rfb.addEventListener("securityfailure", (/** @type {any} */ event) => setProblem(event.detail.reason ?? "The login was refused."));
      rfb.addEventListener("disconnect", () => {
        screen.current = null;
        if (!ended) close("");
      });
    }

    /** @param {string} why */
    function close(why) {
      setState("closed");
      setViewers(ALONE);
      if (why) setProblem(why);
      timer = setTimeout(connect, backoff.next());
    }

    connect();
    return () => {
      ended = true;
      clearTimeout(timer);
      screen.current?.disconnect();
      screen.current = null;
    };
  }, [name, attempt]);

  useEffect(() => {
    if (!screen.current) return;
    screen.current.scaleViewport = scaled;
    screen.current.viewOnly = viewers.watching;
  }, [scaled, viewers.watching, state]);

  /** @param {number[]} keysyms keys that are held together */
  function chord(keysyms) {
    for (const keysym of keysyms) screen.current?.sendKey(keysym, null, true);
    for (const keysym of [...keysyms].reverse()) screen.current?.sendKey(keysym, null, false);
    screen.current?.focus();
  }

  /**
   * @param {string} character
   * @param {import("./layouts.js").Stroke} stroke
   */
  function strike(character, { code, shift, altgr, dead }) {
    const rfb = screen.current;
    if (shift) rfb?.sendKey(KEYSYMS.Shift, "ShiftLeft", true);
    if (altgr) rfb?.sendKey(KEYSYMS.AltGr, "AltRight", true);
    rfb?.sendKey(keysymOf(character), code);
    if (altgr) rfb?.sendKey(KEYSYMS.AltGr, "AltRight", false);
    if (shift) rfb?.sendKey(KEYSYMS.Shift, "ShiftLeft", false);
    if (dead) rfb?.sendKey(keysymOf(" "), "Space");
  }

  /** @param {string} text @param {string} layout */
  async function type(text, layout) {
    for (const character of text.replaceAll("\r\n", "\n")) {
      const stroke = strokeOf(layout, character);
      if (stroke) strike(character, stroke);
      else screen.current?.sendKey(keysymOf(character), null);
      await new Promise((resolve) => setTimeout(resolve, PASTE_DELAY));
    }
    screen.current?.focus();
  }

  const { Alt, Control, Delete, Escape, SysRq, F1 } = KEYSYMS;
  const functions = Array.from({ length: 12 }, (_, index) => ({
    label: `Alt-F${index + 1}`,
    send: () => chord([Alt, F1 + index]),
  }));
  const magic = [..."hsubo"].map((letter) => ({
    label: `Alt-SysRq-${letter.toUpperCase()}`,
    send: () => chord([Alt, SysRq, keysymOf(letter)]),
  }));
  const keys = [
    { label: "Ctrl-Alt-Del", send: () => chord([Control, Alt, Delete]) },
    { label: "Escape", send: () => chord([Escape]) },
    ...functions,
    ...magic,
  ];
  const tools = html`
    <label class="check"><input type="checkbox" checked=${scaled} onChange=${() => setScaled(!scaled)} /> Scale</label>
  `;
  return html`
    <${Frame}
      name=${name}
      title="Screen"
      state=${state}
      problem=${problem}
      viewers=${viewers}
      keys=${keys}
      onPaste=${type}
      layouts=${true}
      onRetry=${() => setAttempt(attempt + 1)}
      onWatch=${(/** @type {boolean} */ watching) => sendWatching(socket.current, watching)}
      onTakeOver=${() => {
        takeOver.current = true;
        setAttempt(attempt + 1);
      }}
      tools=${tools}
    >
      ${locked
        ? html`<${Password}
            onPassword=${(/** @type {string} */ password) => {
              setLocked(false);
              screen.current?.sendCredentials({ password });
            }}
          />`
        : null}
      <div class="screen" ref=${element} />
    <//>
  `;
}

/** @param {{ onPassword: (password: string) => void }} properties */
function Password({ onPassword }) {
  return html`
    <form
      onSubmit=${(/** @type {any} */ event) => {
        event.preventDefault();
        onPassword(String(new FormData(event.currentTarget).get("password")));
      }}
    >
      <label>Password of the VNC console <input name="password" type="password" autocomplete="off" required /></label>
      <button class="primary">Go on</button>
    </form>
  `;
}
