// Starts servers, runs named checks in order, and counts them. A check fails by throwing an error.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const PATIENCE_MS = 20_000;

export const tally = { passed: 0, failed: 0, skipped: 0 };

export async function check(name, run, patience_ms = PATIENCE_MS) {
  try {
    await within(name, run(), patience_ms);
    tally.passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    tally.failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

export function skip(name, why) {
  tally.skipped += 1;
  console.log(`skipped ${name}: ${why}`);
}

export async function within(what, promise, patience_ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patience_ms / 1000} s for ${what}`)), patience_ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Starts a server on free ports, or on the `listen` of an earlier one, that exits when this program exits for any reason.
export async function startServer(binary, flags = [], { listen = "127.0.0.1:0", token } = {}) {
  const ports = ["--listen", listen, "--tcp-listen", "127.0.0.1:0", "--exit-with-parent"];
  const env = { ...process.env, RUST_LOG: "warn" };
  delete env.PUSHBENCH_TOKEN;
  if (token) env.PUSHBENCH_TOKEN = token;
  const child = spawn(binary, ["serve", ...ports, ...flags], { stdio: ["pipe", "pipe", "inherit"], env });
  const failed = once(child, "error").then(([error]) => Promise.reject(error));
  const line = once(createInterface({ input: child.stdout }), "line");
  const [announced] = await within("the server's addresses", Promise.race([line, failed]));
  const { http, tcp } = JSON.parse(announced);
  return {
    tcp,
    address: http,
    http: `http://${http}`,
    ws: `ws://${http}`,
    // Stops the server with SIGTERM and waits for its exit.
    async stop() {
      if (child.exitCode === null) {
        child.kill("SIGTERM");
        await within("the server to end", once(child, "exit"));
      }
      return child.exitCode;
    },
  };
}

let ordinal = 0;

export async function post(server, room, text, transport = "polling") {
  ordinal += 1;
  const body = JSON.stringify({ author: 1, ordinal, text });
  const answer = await fetch(`${server.http}/rooms/${room}/${transport}`, { method: "POST", body });
  if (answer.status !== 200) throw new Error(`a post was answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()).seq;
}

// A list with a function that waits until it satisfies a condition.
export function inbox() {
  const items = [];
  let wake = () => {};
  return {
    items,
    push(item) {
      items.push(item);
      wake();
    },
    async until(what, holds) {
      const filled = async () => {
        while (!holds(items)) await new Promise((resolve) => (wake = resolve));
      };
      await within(`${what}; so far ${JSON.stringify(items)}`, filled());
      return items;
    },
  };
}
