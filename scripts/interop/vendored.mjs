// The clients that the chat page contains are the pinned packages.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { check } from "./harness.mjs";

const FILES = {
  "socket.io.min.js": "node_modules/socket.io-client/dist/socket.io.min.js",
  "stomp.umd.min.js": "node_modules/@stomp/stompjs/bundles/stomp.umd.min.js",
};

export async function checkVendored() {
  for (const [name, source] of Object.entries(FILES)) {
    await check(`page: ${name} is that of npm`, async () => {
      const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
      const hint = `copy scripts/interop/${source} to crates/server/page/vendor`;
      assert.ok(read(`../../crates/server/page/vendor/${name}`) === read(source), hint);
    });
  }
}
