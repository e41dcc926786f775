// Requests to the server: addresses, the token, and refusals.

const TOKEN_KEY = "pushbench-token";
const POST_MS_MAX = 10_000;

/** The server refused a request; `body` says why (PROTOCOL.md, Errors). */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ? [body.error, body.hint].filter(Boolean).join("; ") : `the server answered ${status}`);
    Object.assign(this, { status, field: body.field });
  }

  /** Whether the cursor is not one of this log: the server has a new one. */
  get cursorAhead() {
    return this.status === 400 && this.field === "after";
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN_KEY) ?? "",
  set: (value) => sessionStorage.setItem(TOKEN_KEY, value),
};

/** An address on one of the server's ports, with the token, which `EventSource` and `WebSocket` can send in no other way. */
export function address(origin, path, parameters = {}) {
  const url = new URL(path, origin);
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value);
  if (token.get()) url.searchParams.set("token", token.get());
  return url;
}

export const roomPath = (room, what) => `/rooms/${encodeURIComponent(room)}/${what}`;

/** A request that throws `Refused` when the server refuses it. */
export async function request(url, options = {}) {
  const response = await fetch(url, { cache: "no-store", ...options });
  if (response.ok) return response;
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

/** Posts JSON. As text, so that a browser asks no permission first for another port of the server. */
export async function postJson(url, value, signal) {
  const late = AbortSignal.timeout(POST_MS_MAX);
  const response = await request(url, { method: "POST", body: JSON.stringify(value), signal: signal ? AbortSignal.any([signal, late]) : late });
  return response.json();
}

/** The origins of all ports of the server; the page's own first. */
export async function origins() {
  const ports = await (await request("/page/ports")).json();
  const others = ports.map((port) => `${location.protocol}//${location.hostname}:${port}`);
  return [location.origin, ...others.filter((other) => other !== location.origin)];
}
