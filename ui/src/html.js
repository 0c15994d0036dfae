// SPDX-License-Identifier: BSD-2-Clause
/**
 * Templates. Values become text nodes and attributes, never markup, so names from the cluster
 * cannot inject anything.
 */
import htm from "htm";
import { h } from "preact";

/** @typedef {import("preact").ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
