// SPDX-License-Identifier: BSD-2-Clause
/** Light or dark: as the system has it, or as the user has chosen. */
import { computed, effect, signal } from "@preact/signals";

const KEY = "ganeti.theme";

/** @typedef {"system" | "light" | "dark"} Theme */

/** @type {Theme[]} */
export const THEMES = ["system", "light", "dark"];

const stored = localStorage.getItem(KEY);

export const theme = signal(/** @type {Theme} */ (THEMES.find((each) => each === stored) ?? "system"));

const systemPrefersDark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(systemPrefersDark.matches);
systemPrefersDark.addEventListener("change", ({ matches }) => {
  systemIsDark.value = matches;
});

/** Whether it is dark; what is drawn on a canvas has to be drawn again when that changes. */
export const dark = computed(() => theme.value === "dark" || (theme.value === "system" && systemIsDark.value));

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
  localStorage.setItem(KEY, theme.value);
});
