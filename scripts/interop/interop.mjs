// Tests with public programs: eventsource, ws, socket.io-client, stompjs and curl with pushbench
// servers, pushbench's client with socket.io, ajv and hdr-histogram-js with a results folder, and the clients
// that the chat page contains.
// Usage: node interop.mjs path/to/pushbench [a Python with the packages of requirements.txt]
// The last line is "N passed, N failed, N skipped"; the exit code is 1 if a check failed.
import { checkCurl } from "./curl.mjs";
import { startServer, tally } from "./harness.mjs";
import { checkResults } from "./results.mjs";
import { checkOurClient, checkPython, checkSocketIo } from "./socketio.mjs";
import { checkSse } from "./sse.mjs";
import { checkStomp } from "./stomp.mjs";
import { checkVendored } from "./vendored.mjs";
import { checkGoodbye, checkWebSocket } from "./websocket.mjs";

const [binary, python] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node interop.mjs path/to/pushbench [python]");
  process.exit(2);
}

const server = await startServer(binary);
const shortLived = await startServer(binary, ["--stream-age-ms", "150"]);
const forgetful = await startServer(binary, ["--log-messages-max", "4"]);
const lively = await startServer(binary, ["--heartbeat-ms", "50"]);

await checkSse(server, shortLived, forgetful);
await checkWebSocket(server, lively);
await checkSocketIo(server, lively, forgetful);
await checkPython(server, python);
await checkStomp(server, lively);
await checkOurClient(binary, server);
await checkCurl(server, shortLived);
await checkGoodbye(server);
await Promise.all([shortLived, forgetful, lively].map((other) => other.stop()));
await checkResults(binary);
await checkVendored();

console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
process.exit(tally.failed === 0 ? 0 : 1);
