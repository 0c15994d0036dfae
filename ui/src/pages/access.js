// SPDX-License-Identifier: BSD-2-Clause
/** Who may do what: users, roles, tokens and sessions; those of oneself, or for administrators of all. */
import { useEffect, useState } from "preact/hooks";
import {
  access,
  addToken,
  addUser,
  endSession,
  followAccess,
  grantOrder,
  modifyUser,
  refreshAccess,
  removeOrder,
  ROLES,
} from "../access.js";
import { ApiError } from "../api.js";
import { text, time } from "../format.js";
import { html } from "../html.js";
import { closeDialog, isDialogOpen, openDialog } from "../parts/dialog.js";
import { Facts } from "../parts/facts.js";
import { FormDialog } from "../parts/form_dialog.js";
import { PlainTable } from "../parts/plain_table.js";
import { PlanDialog, Plans } from "../parts/plan_dialog.js";
import { Secret } from "../parts/secret.js";
import { Status } from "../parts/status.js";
import { JobLink } from "../router.js";
import { rights, user } from "../session.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../parts/form_dialog.js").FormField} FormField */

/** @param {string[]} values */
const choices = (values) => values.map((value) => ({ value, label: value }));

/** @type {FormField[]} */
const SCOPE = [
  { name: "tags", label: "Only instances with one of these tags", optional: true },
  { name: "groups", label: "Only instances in one of these node groups", optional: true },
  { name: "owners", label: "Only instances of one of these owners", optional: true },
];

/** @type {FormField} */
const NOTE = { name: "note", label: "Comment", optional: true };

/** @type {FormField} */
const PASSWORD = { name: "password", label: "Password", type: "password", autocomplete: "new-password" };

const GRANT = {
  title: "Grant role",
  inputs: [
    { name: "subject", label: "User, or group:NAME of the OpenID provider" },
    { name: "role", label: "Role", choices: ROLES },
    ...SCOPE,
  ],
  order: (/** @type {string} */ _, /** @type {Record<string, string>} */ values) => grantOrder(values),
};

export function Access() {
  const [problem, setProblem] = useState("");
  useEffect(
    () =>
      followAccess((error) => {
        if (!(error instanceof ApiError)) throw error;
        setProblem(error.message);
      }),
    [user.value],
  );
  const open = isDialogOpen.value;
  useEffect(() => {
    // Events tell administrators only, and of sessions nobody.
    if (!open && access.value) refreshAccess().catch(() => {});
  }, [open]);
  const admin = rights.value.role === "admin" && !rights.value.limited;
  const known = access.value;
  return html`
    <h1>Access</h1>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <${Facts}
      facts=${[
        ["You are", user.value],
        ["Your role", `${rights.value.role ?? "none"}${rights.value.limited ? ", for some instances" : ""}`],
      ]}
    />
    ${known
      ? html`
          <${Users} users=${known.users} admin=${admin} />
          <${Roles} roles=${known.roles} admin=${admin} />
          <${Tokens} tokens=${known.tokens} users=${known.users} admin=${admin} />
          <${Sessions} sessions=${known.sessions} />
          ${admin ? html`<${OpenId} provider=${known.openid[0]} />` : null}
        `
      : html`<p role="status">Loading …</p>`}
  `;
}

/** @param {{ users: Row[], admin: boolean }} properties */
function Users({ users, admin }) {
  const add = () =>
    openDialog(
      "New user",
      html`<${FormDialog}
        title="Add user"
        text="The user has no rights before a role is granted."
        fields=${[{ name: "name", label: "Name" }, { ...PASSWORD, optional: true }, NOTE]}
        onSubmit=${(/** @type {any} */ values) => addUser(values).then(closeDialog)}
      />`,
    );
  return html`
    <${PlainTable}
      title="Users"
      tools=${admin ? html`<button onClick=${add}>New user</button>` : null}
      columns=${["Name", "Status", "Roles", "Password", "Added", "Comment", ...(admin ? ["Actions"] : [])]}
      rows=${users.map((each) => ({
        key: each["name"],
        cells: [
          each["name"],
          html`<${Status} status=${each["disabled"] ? "offline" : "online"} label=${each["disabled"] ? "disabled" : "enabled"} />`,
          text(each["roles"]) || "none",
          each["password"] ? "yes" : "no",
          time(each["created"]),
          each["comment"],
          ...(admin ? [html`<${UserActions} name=${each["name"]} disabled=${each["disabled"]} />`] : []),
        ],
      }))}
    />
    ${admin ? html`<p class="muted">Users of the users file of the remote API are not shown here.</p>` : null}
  `;
}

/** @param {{ name: string, disabled: boolean }} properties */
function UserActions({ name, disabled }) {
  const setPassword = () =>
    openDialog(
      `Set password: ${name}`,
      html`<${FormDialog}
        title="Set password"
        text="All sessions that were begun with the password before will end."
        fields=${[PASSWORD]}
        onSubmit=${(/** @type {any} */ { password }) => modifyUser(name, { password }).then(closeDialog)}
      />`,
    );
  const verb = disabled ? "Enable" : "Disable";
  const toggle = () =>
    openDialog(
      `${verb}: ${name}`,
      html`<${FormDialog}
        title=${verb}
        danger=${!disabled}
        text=${disabled
          ? "The user may log in again, and its tokens are valid again."
          : "The user is refused at once, with all its tokens, sessions and open consoles."}
        onSubmit=${() => modifyUser(name, { disabled: !disabled }).then(closeDialog)}
      />`,
    );
  return html`
    <div class="row-actions">
      <button onClick=${setPassword}>Set password</button>
      <button onClick=${toggle}>${verb}</button>
      <${Remove} what="users" id=${name} label=${name} verb="Remove" />
    </div>
  `;
}

/**
 * A button that shows first what would be lost.
 *
 * @param {{ what: "users" | "roles" | "tokens", id: string, label: string, verb: string }} properties
 */
function Remove({ what, id, label, verb }) {
  const open = () =>
    openDialog(`${verb}: ${label}`, html`<${Plans} orders=${[removeOrder(what, id, label)]} title=${verb} danger />`);
  return html`<button class="danger" onClick=${open}>${verb}</button>`;
}

/** @param {{ roles: Row[], admin: boolean }} properties */
function Roles({ roles, admin }) {
  const grant = () => openDialog("Grant role", html`<${PlanDialog} action=${GRANT} objects=${[""]} />`);
  return html`
    <${PlainTable}
      title="Roles"
      tools=${admin ? html`<button onClick=${grant}>Grant role</button>` : null}
      columns=${["Granted to", "Role", "For", "Granted", ...(admin ? ["Actions"] : [])]}
      rows=${roles.map((each) => ({
        key: each["id"],
        cells: [
          each["subject"],
          each["role"],
          scope(each),
          time(each["created"]),
          ...(admin
            ? [html`<${Remove} what="roles" id=${each["id"]} label=${`${each["subject"]}: ${each["role"]}`} verb="Revoke" />`]
            : []),
        ],
      }))}
    />
  `;
}

/** @param {{ tokens: Row[], users: Row[], admin: boolean }} properties */
function Tokens({ tokens, users, admin }) {
  const own = users.some((each) => each["name"] === user.value);
  const owners = admin ? users.map((each) => each["name"]) : own ? [user.value] : [];
  const add = () =>
    openDialog(
      "New token",
      html`<${FormDialog}
        title="Make token"
        text="A token does what its user may do, and no more than its role and scope here."
        fields=${[
          { name: "user", label: "User", choices: choices(owners), value: user.value },
          { name: "role", label: "Role", choices: choices(ROLES) },
          { name: "days", label: "Valid for", choices: LIFETIMES, value: "90" },
          ...SCOPE,
          NOTE,
        ]}
        onSubmit=${async (/** @type {any} */ values) => {
          const made = await addToken(values);
          openDialog("New token", html`<${NewToken} ...${made} />`);
          await refreshAccess();
        }}
      />`,
    );
  return html`
    <${PlainTable}
      title="Tokens"
      tools=${owners.length ? html`<button onClick=${add}>New token</button>` : null}
      columns=${["Token", "User", "Role", "For", "Expires", "Last used", "Comment", "Actions"]}
      rows=${tokens.map((each) => ({
        key: each["id"],
        cells: [
          html`<code>${each["id"]}</code>`,
          each["user"],
          each["role"],
          scope(each),
          time(each["expires"]),
          each["used"] ? time(each["used"]) : "never",
          each["comment"],
          html`<${Remove} what="tokens" id=${each["id"]} label=${`token ${each["id"]}`} verb="Revoke" />`,
        ],
      }))}
    />
  `;
}

const LIFETIMES = [
  { value: "1", label: "a day" },
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "a year" },
];

/** @param {{ token: string, job: number, works: boolean }} properties */
const NewToken = ({ token, job, works }) => html`
  <${Secret} label="Token" warning="The token is shown only now. Keep it where its program finds it." value=${token}>
    ${works
      ? html`<p role="status">It can be used now.</p>`
      : html`<p class="problem" role="alert">Job <${JobLink} id=${job} /> has not added it yet; see there why.</p>`}
  <//>
`;

/** @param {{ sessions: Row[] }} properties */
function Sessions({ sessions }) {
  /** @param {Row} each */
  const end = (each) =>
    openDialog(
      `End session of ${each["user"]}`,
      html`<${FormDialog}
        title="End session"
        danger
        text=${`The browser at ${each["source"] || "an unknown address"} has to sign in again.`}
        onSubmit=${async () => {
          await endSession(each["id"]);
          closeDialog();
          await refreshAccess();
        }}
      />`,
    );
  return html`
    <${PlainTable}
      title="Sessions"
      columns=${["User", "From", "By", "Signed in", "Last used", "Ends", "Actions"]}
      rows=${sessions.map((each) => ({
        key: each["id"],
        cells: [
          each["user"],
          text(each["source"] || null),
          each["token"] ? html`token <code>${each["token"]}</code>` : each["user"].startsWith("openid:") ? "OpenID" : "password",
          time(each["created"]),
          time(each["used"]),
          time(each["expires"]),
          html`<button class="danger" onClick=${() => end(each)}>End</button>`,
        ],
      }))}
    />
  `;
}

/** @param {{ provider: Row | undefined }} properties */
function OpenId({ provider }) {
  return html`
    <section aria-labelledby="openid-title">
      <h2 id="openid-title">OpenID provider</h2>
      ${provider
        ? html`<${Facts}
            facts=${[
              ["Issuer", provider["issuer"]],
              ["Client", provider["client_id"]],
              ["Comes back to", provider["redirect_uri"]],
              ["Name of the user", provider["username_claim"]],
              ["Groups of the user", provider["groups_claim"]],
            ]}
          />`
        : html`<p class="muted">None. <code>gnt-access openid set</code> has users sign in by one.</p>`}
    </section>
  `;
}

/** @param {Row} row */
function scope(row) {
  const parts = [
    ...row["tags"].map((/** @type {string} */ each) => `tag ${each}`),
    ...row["groups"].map((/** @type {string} */ each) => `group ${each}`),
    ...row["owners"].map((/** @type {string} */ each) => `owner ${each}`),
  ];
  return parts.join(", ") || "all instances";
}
