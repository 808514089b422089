// Serves the app of this folder on two origins, and does in Chromium what a person does on its pages.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const { API_URL, CHROMIUM, ORIGIN, PASSWORD, STRANGER } = process.env;
const SETTINGS = JSON.stringify({
  apiUrl: API_URL,
  awsUrl: process.env.COGNITO_DOMAIN_URL,
  poolId: process.env.COGNITO_USER_POOL_ID,
  clientId: process.env.COGNITO_CLIENT_IDS.split(",")[0],
});
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--no-first-run",
  `--user-data-dir=${process.env.PROFILE}`,
  "--remote-debugging-pipe", // DevTools messages over the file descriptors 3 and 4: no port is opened
];

async function answer(request, response) {
  const { pathname } = new URL(request.url, ORIGIN);
  const [type, content] = pathname.endsWith(".json")
    ? ["application/json", SETTINGS]
    : /\.m?js$/.test(pathname)
      ? ["text/javascript", await readFile(`.${pathname}`)]
      : ["text/html", await readFile("app.html")];
  response.setHeader("Content-Type", type);
  response.end(content);
}

function serve(origin) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(404).end());
  });
  return new Promise((resolve) => server.listen(new URL(origin).port, "127.0.0.1", () => resolve(server)));
}

// The DevTools protocol: JSON messages, each ended by a zero byte. https://chromedevtools.github.io/devtools-protocol/
class Browser {
  #process = spawn(CHROMIUM, ARGUMENTS, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  #ended = new Promise((resolve) => this.#process.once("exit", resolve));
  #waiting = new Map();
  #received = "";
  #sent = 0;

  constructor() {
    this.#process.stdio[4].setEncoding("utf8").on("data", (text) => this.#read(text));
  }

  #read(text) {
    const messages = (this.#received + text).split("\0");
    this.#received = messages.pop();
    for (const { id, result, error } of messages.map((each) => JSON.parse(each))) {
      this.#waiting.get(id)?.(error ?? result);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#sent;
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    return new Tab(this, sessionId);
  }

  async close() {
    await Promise.race([this.send("Browser.close"), this.#ended]);
    await this.#ended;
  }
}

class Tab {
  constructor(browser, sessionId) {
    this.evaluate = async (expression) => {
      const params = { expression, awaitPromise: true, returnByValue: true };
      return (await browser.send("Runtime.evaluate", params, sessionId)).result?.value;
    };
  }

  // Until the expression is true on the page; an error of a page that is still loading is asked again.
  async sees(expression) {
    for (let left = 600; left > 0; left--) {
      const value = await this.evaluate(expression);
      if (value) return value;
      await sleep(100);
    }
    throw new Error(`never: ${expression}\n${await this.evaluate("document.documentElement.outerHTML")}`);
  }

  async types(name, text) {
    await this.evaluate(`document.getElementsByName("${name}")[0].value = ${JSON.stringify(text)}`);
  }

  async clicks(element) {
    await this.sees(`document.readyState === "complete" && !!document.querySelector("${element}:enabled")`);
    await this.evaluate(`document.querySelector("${element}").click()`);
  }
}

const servers = await Promise.all([ORIGIN, STRANGER].map(serve));
const browser = new Browser();
try {
  const tab = await browser.open(`${ORIGIN}/`);
  await tab.clicks("#sign-in");
  await tab.sees(`location.origin !== "${ORIGIN}" && !!document.querySelector("[name=username]")`);
  const loginPage = await tab.evaluate("location.origin");
  await tab.types("username", "rider");
  await tab.types("password", PASSWORD);
  await tab.clicks("[type=submit]");
  const told = JSON.parse(await tab.sees("document.querySelector('output')?.textContent"));
  await tab.clicks("#sign-out");
  const signedOut = await tab.sees(`location.href === "${ORIGIN}/" && location.href`);
  const stranger = await browser.open(`${STRANGER}/`);
  await stranger.sees("document.readyState === 'complete' && !!document.querySelector('output')");
  const refused = await stranger.evaluate(`fetch("${API_URL}/healthz").then((answer) => answer.status, String)`);
  console.log(JSON.stringify({ ...told, loginPage, signedOut, stranger: refused }));
} finally {
  await browser.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
}
