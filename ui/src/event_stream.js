// SPDX-License-Identifier: BSD-2-Clause
/**
 * The event stream of the cluster, read with fetch, since EventSource cannot send headers.
 */
import { signal } from "@preact/signals";
import { request } from "./session.js";

/** @typedef {{ id: string, event: string, data: string }} Message */

/** Longer than two heartbeats of the server: the connection is dead, or the computer slept. */
const SILENCE = 35000;
const FIRST_DELAY = 500;
const MAX_DELAY = 10000;

/** Splits a stream of server-sent events (WHATWG HTML, section 9.2) into messages. */
export class MessageParser {
  #rest = "";
  #data = "";
  #event = "";
  lastId = "";

  /**
   * @param {string} text
   * @returns {Message[]}
   */
  receive(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    /** @type {Message[]} */
    const messages = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data) messages.push({ id: this.lastId, event: this.#event, data: this.#data });
        this.#data = this.#event = "";
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "data") this.#data += value;
      else if (name === "event") this.#event = value;
      else if (name === "id") this.lastId = value;
    }
    return messages;
  }
}

/** @typedef {"connecting" | "live" | "closed"} Connection */

/** Follows the stream until it is closed, and connects again where it left off. */
export class EventStream {
  /** Whether what is shown is live. */
  connection = signal(/** @type {Connection} */ ("connecting"));
  #since = "";
  #delay = FIRST_DELAY;
  #closed = false;
  /** @type {AbortController | null} */
  #abort = null;
  #heard = 0;
  /** @type {ReturnType<typeof setInterval>} */
  #watch;
  /** @type {() => void} */
  #wake = () => {};

  /** @param {(messages: Message[]) => void} receive */
  constructor(receive) {
    this.receive = receive;
    // The timer stands still while the computer sleeps, and fires when it wakes up.
    this.#watch = setInterval(() => this.#checkSilence(), 5000);
    addEventListener("online", this.#reconnect);
    document.addEventListener("visibilitychange", this.#reconnect);
    this.#run();
  }

  close() {
    this.#closed = true;
    this.connection.value = "closed";
    clearInterval(this.#watch);
    removeEventListener("online", this.#reconnect);
    document.removeEventListener("visibilitychange", this.#reconnect);
    this.#abort?.abort();
    this.#wake();
  }

  #reconnect = () => {
    this.#checkSilence();
    this.#delay = FIRST_DELAY;
    this.#wake();
  };

  #checkSilence() {
    if (this.connection.value === "live" && Date.now() - this.#heard > SILENCE) this.#abort?.abort();
  }

  async #run() {
    while (!this.#closed) {
      try {
        await this.#read();
      } catch {
        // The connection is lost; what was sent meanwhile comes with the next one.
      }
      if (this.#closed) return;
      this.connection.value = "connecting";
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
        setTimeout(resolve, this.#delay);
      });
      this.#delay = Math.min(MAX_DELAY, this.#delay * 2);
    }
  }

  async #read() {
    this.#abort = new AbortController();
    const since = this.#since ? `?since=${encodeURIComponent(this.#since)}` : "";
    const response = await request(`/2/events${since}`, { signal: this.#abort.signal });
    if (!response.ok || !response.body) throw new Error(response.statusText);
    const parser = new MessageParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#heard = Date.now();
      this.connection.value = "live";
      this.#delay = FIRST_DELAY;
      const messages = parser.receive(value);
      if (messages.length) this.receive(messages);
      this.#since = parser.lastId || this.#since;
    }
  }
}
