// SPDX-License-Identifier: BSD-2-Clause
/**
 * The filter language of `gnt-* list -F`, read and applied in the browser, so that a list stays
 * filtered while events change it: `status == "running" and be/maxmem > 1024`.
 *
 * A text that is no more than words is searched for in the names.
 */

/** @typedef {import("./api.js").Row} Row */
/** @typedef {any[]} Filter as it goes over the wire: ["&", ["==", "pnode", "node1"], …] */

const MAX_DEPTH = 32;
const FIELD = /[A-Za-z][\w/.]*/y;
const NUMBER = /[+-]?[0-9]{1,18}(?![\w.])/y;
const QUOTED = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/sy;
const REGEX = /m?([/#^|])((?:\\.|(?!\1)[^\\])*)\1([si]*)/sy;
const OPERATOR = /==|!=|<=|>=|=~|!~|=\*|!\*|=|<|>/y;
const RESERVED = ["and", "or", "not", "in"];
const WORDS = /^[\w.-]+$/;

export const OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "=~", "!~", "=*", "!*"];

/** A text that is no filter; the message says where it stops being one. */
export class FilterError extends Error {}

class Reader {
  at = 0;

  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.skip();
  }

  /** @param {RegExp} pattern a sticky one */
  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) {
      this.at = pattern.lastIndex;
      this.skip();
    }
    return found;
  }

  /** @param {string} word */
  word(word) {
    FIELD.lastIndex = this.at;
    if (FIELD.exec(this.text)?.[0] !== word) return false;
    this.take(FIELD);
    return true;
  }

  name() {
    FIELD.lastIndex = this.at;
    const found = FIELD.exec(this.text);
    if (!found || RESERVED.includes(found[0])) return null;
    this.take(FIELD);
    return found[0];
  }

  /** @param {string} sign */
  sign(sign) {
    if (!this.text.startsWith(sign, this.at)) return false;
    this.at += sign.length;
    this.skip();
    return true;
  }

  /** @returns {string | number | null} */
  value() {
    const quoted = this.take(QUOTED);
    if (quoted) return quoted[0].slice(1, -1).replace(/\\(.)/gs, "$1");
    const number = this.take(NUMBER);
    return number ? Number(number[0]) : null;
  }

  /** @param {string} expected */
  wrong(expected) {
    const rest = this.text.slice(this.at, this.at + 20);
    const where = `at column ${this.at + 1}${rest ? `, before ${rest}` : ""}`;
    return new FilterError(`The filter is wrong ${where}: expected ${expected}.`);
  }

  skip() {
    while (/\s/.test(this.text[this.at] ?? "")) this.at += 1;
  }
}

/**
 * @param {string} text
 * @returns {Filter}
 */
export function parseFilter(text) {
  const reader = new Reader(text);
  const found = either(reader, 1);
  if (reader.at < text.length) throw reader.wrong("and, or, or the end");
  return found;
}

/** @type {(reader: Reader, depth: number) => Filter} */
const either = (reader, depth) => joined(reader, depth, "or", "|", both);

/** @type {(reader: Reader, depth: number) => Filter} */
const both = (reader, depth) => joined(reader, depth, "and", "&", negated);

/**
 * @param {Reader} reader
 * @param {number} depth
 * @param {string} word
 * @param {string} operator
 * @param {(reader: Reader, depth: number) => Filter} part
 * @returns {Filter}
 */
function joined(reader, depth, word, operator, part) {
  const parts = [part(reader, depth)];
  while (reader.word(word)) parts.push(part(reader, depth));
  return parts.length === 1 ? /** @type {Filter} */ (parts[0]) : [operator, ...parts];
}

/**
 * @param {Reader} reader
 * @param {number} depth
 * @returns {Filter}
 */
function negated(reader, depth) {
  if (depth > MAX_DEPTH) throw new FilterError(`A filter can be nested ${MAX_DEPTH} deep.`);
  if (reader.word("not")) return ["!", negated(reader, depth + 1)];
  if (!reader.sign("(")) return condition(reader);
  const inner = either(reader, depth + 1);
  if (!reader.sign(")")) throw reader.wrong("and, or, or )");
  return inner;
}

/**
 * @param {Reader} reader
 * @returns {Filter}
 */
function condition(reader) {
  const value = reader.value();
  if (value !== null) {
    const not = reader.word("not");
    if (!reader.word("in")) throw reader.wrong("in and a field");
    const name = reader.name();
    if (name === null) throw reader.wrong("a field");
    return not ? ["!", ["=[]", name, value]] : ["=[]", name, value];
  }
  const name = reader.name();
  if (name === null) throw reader.wrong("a field, a value or (");
  const operator = reader.take(OPERATOR)?.[0];
  if (!operator) return ["?", name];
  const plain = operator.replace("!~", "=~").replace("!*", "=*");
  const found = [plain === "=*" ? "=~" : plain, name, operand(reader, plain)];
  return plain === operator ? found : ["!", found];
}

/**
 * @param {Reader} reader
 * @param {string} operator
 */
function operand(reader, operator) {
  if (operator === "=~") {
    const found = reader.take(REGEX);
    if (!found) throw reader.wrong("a regular expression such as /text/");
    return expression(String(found[2]).replaceAll(`\\${found[1]}`, String(found[1])), String(found[3]));
  }
  const value = reader.value();
  if (value === null) throw reader.wrong("text in quotes or a whole number");
  if (operator !== "=*") return value;
  const glob = String(value).replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return expression(`^${glob}(\\..*)?$`, "");
}

/**
 * @param {string} pattern
 * @param {string} flags
 */
function expression(pattern, flags) {
  try {
    return new RegExp(pattern, flags);
  } catch {
    throw new FilterError(`${pattern} is no regular expression.`);
  }
}

/**
 * The fields that a filter looks at.
 *
 * @param {Filter} filter
 * @returns {string[]}
 */
export function fieldsOf(filter) {
  const [operator, ...rest] = filter;
  return ["&", "|", "!"].includes(operator) ? rest.flatMap(fieldsOf) : [rest[0]];
}

/**
 * Return a function that tells which rows a text selects.
 *
 * @param {string} text
 * @param {string} key the field with the name
 * @param {Set<string>} known the fields that there are
 * @returns {{ matches: (row: Row) => boolean, fields: string[] }}
 */
export function compileFilter(text, key, known) {
  const trimmed = text.trim();
  if (!trimmed) return { matches: () => true, fields: [] };
  if (WORDS.test(trimmed) && !known.has(trimmed)) {
    const wanted = trimmed.toLowerCase();
    return { matches: (row) => String(row[key]).toLowerCase().includes(wanted), fields: [] };
  }
  const filter = parseFilter(trimmed);
  const fields = fieldsOf(filter);
  const unknown = fields.find((field) => !known.has(field));
  if (unknown !== undefined && known.size) throw new FilterError(`There is no field ${unknown}.`);
  return { matches: compiled(filter), fields };
}

/**
 * @param {Filter} filter
 * @returns {(row: Row) => boolean}
 */
function compiled(filter) {
  const [operator, name, value] = filter;
  if (operator === "&" || operator === "|") {
    const parts = filter.slice(1).map(compiled);
    return operator === "&"
      ? (row) => parts.every((part) => part(row))
      : (row) => parts.some((part) => part(row));
  }
  if (operator === "!") {
    const part = compiled(name);
    return (row) => !part(row);
  }
  const test = TESTS[operator];
  if (!test) throw new FilterError(`There is no operator ${operator}.`);
  // As for the server, a comparison with a value that is not known holds.
  return (row) => row[name] === null || row[name] === undefined || test(row[name], value);
}

/** @type {Record<string, (present: any, value: any) => boolean>} */
const TESTS = {
  "?": (present) => (Array.isArray(present) ? present.length > 0 : Boolean(present)),
  "=": equal,
  "==": equal,
  "!=": (present, value) => !equal(present, value),
  "<": (present, value) => present < value,
  "<=": (present, value) => present <= value,
  ">": (present, value) => present > value,
  ">=": (present, value) => present >= value,
  "=~": (present, value) => value.test(String(present)),
  "=[]": (present, value) => Array.isArray(present) && present.includes(value),
};

/**
 * Names fit without their domain, too.
 *
 * @param {any} present
 * @param {any} value
 */
function equal(present, value) {
  if (typeof present !== "string") return present === value;
  return present === value || present.startsWith(`${value}.`);
}

/**
 * What could come next in a text that ends where the cursor is.
 *
 * @param {string} text
 * @param {Iterable<string>} fields
 * @param {(field: string) => Iterable<string>} valuesOf values that a field has somewhere
 * @returns {{ start: number, words: string[] }} the words, and where they begin in the text
 */
export function complete(text, fields, valuesOf) {
  const value = /([A-Za-z][\w/.]*)\s*(?:==|!=|=)\s*("?)([^"]*)$/.exec(text);
  if (value) {
    const begun = String(value[3]).toLowerCase();
    const words = [...new Set(valuesOf(String(value[1])))].filter((each) => each.toLowerCase().startsWith(begun));
    return { start: text.length - String(value[3]).length - String(value[2]).length, words: words.slice(0, 20).map((each) => JSON.stringify(each)) };
  }
  if (/[A-Za-z][\w/.]*\s+$/.test(text) && !/\b(?:and|or|not|in)\s+$/.test(text)) {
    return { start: text.length, words: OPERATORS };
  }
  if (/["'\d)]\s+$/.test(text)) return { start: text.length, words: ["and", "or"] };
  const word = /[A-Za-z][\w/.]*$/.exec(text)?.[0] ?? "";
  const words = [...fields].filter((each) => each.startsWith(word) && each !== word);
  return { start: text.length - word.length, words: words.slice(0, 20) };
}
