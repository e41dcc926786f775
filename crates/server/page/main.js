// The chat page: enters a room, and shows it as a chat or as columns side by side.
import { Chat } from "./chat.js";
import { Columns } from "./columns.js";
import { byId } from "./element.js";
import { Presence } from "./presence.js";
import { Refused, origins, token } from "./server.js";
import { User } from "./user.js";

const NAME_KEY = "pushbench-name";
const VIEWS = { chat: Chat, columns: Columns };

let presence;
let view;
let ports;

const parameters = new URLSearchParams(location.search);
byId("name").value = parameters.get("name") ?? sessionStorage.getItem(NAME_KEY) ?? "";
byId("room").value = parameters.get("room") ?? "lobby";

byId("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("name").value.trim();
  if (byId("token").value) token.set(byId("token").value);
  try {
    byId("enter-error").textContent = "";
    presence = new Presence(new User(name), byId("room").value, () => view?.presenceChanged());
    await presence.report();
    ports ??= await origins();
  } catch (error) {
    presence.stop();
    presence = undefined;
    askAgain(error);
    return;
  }
  sessionStorage.setItem(NAME_KEY, name);
  show(event.submitter?.value ?? "chat");
});

function askAgain(error) {
  const needsToken = error instanceof Refused && error.status === 401;
  byId("enter-error").textContent = needsToken ? "The server asks for its token." : `Cannot enter: ${error.message}`;
  if (!needsToken) return;
  byId("token-field").hidden = false;
  byId("token").focus();
}

function show(name) {
  view?.close();
  byId("enter").hidden = true;
  for (const id of ["where", "views"]) byId(id).hidden = false;
  byId("where").textContent = `${presence.user.name} in ${presence.room}`;
  for (const other of Object.keys(VIEWS)) {
    byId(other).hidden = other !== name;
    if (other === name) byId(`show-${other}`).setAttribute("aria-current", "page");
    else byId(`show-${other}`).removeAttribute("aria-current");
  }
  history.replaceState(null, "", `?${new URLSearchParams({ room: presence.room, view: name })}`);
  view = new VIEWS[name]({ user: presence.user, presence, origins: ports });
}

for (const name of Object.keys(VIEWS)) byId(`show-${name}`).addEventListener("click", () => show(name));
byId("leave").addEventListener("click", () => location.assign("/"));
addEventListener("pagehide", () => presence?.leave());
addEventListener("pageshow", ({ persisted }) => persisted && presence?.report().catch(() => {}));
byId("name").focus();
