// Builds elements of the page. Texts become text nodes, never markup.

/** An element with properties (`className`), attributes (`aria-label`), listeners (`onclick`) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Appends a line to a log, removes its oldest lines, and scrolls to the end unless the reader has scrolled up. */
export function appendLine(log, line, linesMax) {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(line);
  while (log.childElementCount > linesMax) log.firstElementChild.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

export const milliseconds = (ms) => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0)) + " ms";
